// SPDX-License-Identifier: Apache-2.0

extension Plan {
  /// One to a service of most of the variants, and one to all.
  ///
  /// At any time a real server of each service takes connections without limit, and a threshold is
  /// never lowered below what is there.
  mutating func nextCommands() -> [String] {
    let kindCount = services.count / variants.count
    let timeouts = (tcp: 800 + generator.next() % 100, udp: 300 + generator.next() % 10)
    return ["--set \(timeouts.tcp) 0 \(timeouts.udp)"]
      + variants.indices.shuffled(using: &generator).prefix(12).map { variant in
        let number = variant * kindCount + Int.random(in: 0..<kindCount, using: &generator)
        let command = command(to: number)
        services[number].commands.append(command)
        return command
      }
  }

  private mutating func command(to number: Int) -> String {
    let realServer = services[number].realServers.keys.sorted().randomElement(using: &generator)!
    switch Int.random(in: 0..<13, using: &generator) {
    case 0...2: return add(to: number)
    case 3...4: return remove(realServer, from: number)
    case 5...7: return edit(realServer, of: number, weight: 0)
    case 8...9: return services[number].command("-E")
    case 10: return limit(realServer, of: number)
    default: return edit(realServer, of: number, weight: nextWeight())
    }
  }

  /// For the moment at which both have counted everything: the kernel's `-Z` forgets what its
  /// estimator has seen, which looks every two seconds.
  mutating func zero() -> String {
    Bool.random(using: &generator)
      ? "-Z" : "-Z \(services.randomElement(using: &generator)!.name)"
  }

  /// Small ones, and up to ipvsadm's greatest.
  private mutating func nextWeight() -> Int {
    [1, 1, 2, 3, 4, 5, 6, 100, 65535, 65536, 2_147_483_647].randomElement(using: &generator)!
  }

  /// A new one; with a kernel of original manners also one that was removed.
  private mutating func add(to number: Int) -> String {
    let added: Int
    if manners == .original, !services[number].isPersistent, !services[number].removed.isEmpty {
      added = services[number].removed.removeFirst()
    } else if !services[number].unused.isEmpty {
      added = services[number].unused.removeFirst()
    } else {
      return services[number].command("-E")
    }
    let isLimited = Int.random(in: 0..<3, using: &generator) == 0
    let weight = isLimited ? Int.random(in: 1...6, using: &generator) : nextWeight()
    let upper = isLimited ? Int.random(in: 2...6, using: &generator) : 0
    services[number].realServers[added] = .init(weight: weight, upper: upper)
    return services[number].command("-a", added)
  }

  private mutating func remove(_ realServer: Int, from number: Int) -> String {
    guard services[number].canSpare(realServer) else { return services[number].command("-E") }
    services[number].realServers[realServer] = nil
    services[number].removed.append(realServer)
    return "-d \(services[number].name) -r \(services[number].realServerName(realServer))"
  }

  private mutating func edit(_ realServer: Int, of number: Int, weight: Int) -> String {
    let isLimited = services[number].realServers[realServer]!.upper > 0
    if weight > 0 || services[number].canSpare(realServer) {
      // `wrr` counts down from the greatest weight while whoever has it is overloaded.
      services[number].realServers[realServer]!.weight = isLimited ? min(weight, 6) : weight
    }
    return services[number].command("-e", realServer)
  }

  /// Raises a limit, or takes it away.
  private mutating func limit(_ realServer: Int, of number: Int) -> String {
    let upper = services[number].realServers[realServer]!.upper
    let isRaised = upper > 0 && Bool.random(using: &generator)
    services[number].realServers[realServer]!.upper = isRaised ? upper + 20 : 0
    return services[number].command("-e", realServer)
  }
}
