// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Testing

@testable import AdminAPI

/// What the recorded sessions do not show: the commands that come out, and where Martinet differs
/// from ipvsadm on purpose.
@Suite struct GrammarTests {
  private let parser = IpvsadmParser(names: .fixture)

  private func parse(_ line: String) throws(UsageError) -> Invocation {
    try parser.parse(line.split(separator: " ").map(String.init))
  }

  private func refusal(_ line: String) -> UsageError? {
    do {
      _ = try parse(line)
      return nil
    } catch {
      return error
    }
  }

  private static let web = VirtualServiceKey(
    address: IPAddress("192.0.2.1")!, ipProtocol: .tcp, port: Port(80))
  private static let dns = VirtualServiceKey(
    address: IPAddress("192.0.2.1")!, ipProtocol: .udp, port: Port(53))
  private static let server = RealServerAddress(
    address: IPAddress("192.0.2.2")!, port: Port(80))

  @Test(
    arguments: [
      ("-A -t 192.0.2.1:80 -s rr", .addService(service: web, scheduler: .rr)),
      ("-At192.0.2.1:http -swrr", .addService(service: web, scheduler: .wrr)),
      (
        "--edit-service --tcp-service=192.0.2.1:80 -s=wrr",
        .editService(service: web, scheduler: .wrr)
      ),
      (
        "-At 192.0.2.1:80 -b mh-port,flag-1 -s mh",
        .addService(service: web, scheduler: .mh, flags: [.fallback, .port])
      ),
      (
        "-A -ou 192.0.2.1:53", .addService(service: dns, scheduler: .wlc, isOnePacket: true)
      ),
      ("-Et 192.0.2.1:80", .editService(service: web, scheduler: .wlc)),
      (
        "-a -t 192.0.2.1:80 -r 192.0.2.2 -x 10 -y 5",
        .addRealServer(
          service: web, realServer: server, weight: 1,
          thresholds: ConnectionThresholds(upper: 10, lower: 5))
      ),
      ("-Du 192.0.2.1:domain", .deleteService(service: dns)),
      (
        "-a -t 192.0.2.1:80 -r 192.0.2.2",
        .addRealServer(service: web, realServer: server, weight: 1)
      ),
      (
        "-a -t 192.0.2.1:80 -r 192.0.2.2:8080 -gw5",
        .addRealServer(service: web, realServer: server, weight: 5)
      ),
      (
        "-e -r 192.0.2.2 -t 192.0.2.1:80 -w 0",
        .editRealServer(service: web, realServer: server, weight: 0)
      ),
      (
        "-d -t 192.0.2.1:80 -r 192.0.2.2:80", .deleteRealServer(service: web, realServer: server)
      ),
      ("-C", .clear), ("-Z", .zero(service: nil)), ("-Zt 192.0.2.1:80", .zero(service: web)),
      ("--set 1 -- 2 3", .setTimeouts(Timeouts(tcp: 1, tcpFin: 2, udp: 3))),
    ] as [(String, Command)])
  func commands(line: String, command: Command) throws {
    #expect(try parse(line) == .change(command))
  }

  @Test func listings() throws {
    let all = Listing.services(nil, columns: .configuration, isSorted: true)
    #expect(try parse("") == .list(all, numeric: false))
    #expect(try parse("-ln --sort") == .list(all, numeric: true))
    #expect(try parse("-Lnc") == .list(.connections(hasEngines: false), numeric: true))
    #expect(try parse("-l --timeout") == .list(.timeouts, numeric: false))
    #expect(
      try parse("-LX --rate --nosort -t 192.0.2.1:80")
        == .list(
          .services(Self.web, columns: .rates(isExact: true), isSorted: false), numeric: false))
    #expect(try parse("-Sn") == .save(numeric: true))
    #expect(try parse("-R") == .restore(clearsFirst: false))
    #expect(try parse("-L --daemon --syncid 1") == .list(.daemons, numeric: false))
    #expect(
      try parse("-Ln --tun-info")
        == .list(.services(nil, columns: .tunnels, isSorted: true), numeric: true))
    #expect(try parse("-h") == .help)
    #expect(try parse("--version") == .version)
  }

  /// ipvsadm(8): every option that has two names.
  @Test func longNamesAreShortOnes() throws {
    let lines = [
      (
        "--add-service --tcp-service 192.0.2.1:80 --scheduler sh --sched-flags sh-port "
          + "--persistent 60 --netmask 255.255.255.0",
        "-A -t 192.0.2.1:80 -s sh -b sh-port -p 60 -M 255.255.255.0"
      ),
      ("--edit-service --udp-service 192.0.2.1:53 --ops", "-E -u 192.0.2.1:53 -o"),
      ("--delete-service --fwmark-service 7 --ipv6", "-D -f 7 -6"),
      (
        "--add-server --tcp-service 192.0.2.1:80 --real-server 192.0.2.2 --gatewaying --weight 2 "
          + "--u-threshold 4 --l-threshold 3",
        "-a -t 192.0.2.1:80 -r 192.0.2.2 -g -w 2 -x 4 -y 3"
      ),
      ("--edit-server -t 192.0.2.1:80 -r 192.0.2.2", "-e -t 192.0.2.1:80 -r 192.0.2.2"),
      ("--delete-server -t 192.0.2.1:80 -r 192.0.2.2", "-d -t 192.0.2.1:80 -r 192.0.2.2"),
      ("--clear", "-C"), ("--zero", "-Z"), ("--restore", "-R"), ("--save --numeric", "-S -n"),
      ("--list --connection", "-L -c"), ("--list --exact", "-l -X"), ("--help", "-h"),
      ("--version", "-v"),
    ]
    for (long, short) in lines { #expect(try parse(long) == parse(short), "\(long)") }
    let words = Set(lines.flatMap { $0.0.split(separator: " ") })
    // These are refused: `whatCannotBe`.
    let both = Option.all.filter { $0.short != nil && !["masquerading", "ipip"].contains($0.long) }
    for option in both { #expect(words.contains("--\(option.long)"), "\(option.long)") }
  }

  /// inet_aton(3)'s short forms, as ipvsadm takes them.
  @Test(arguments: [("192.0.513:80", "192.0.2.1"), ("0x7f.1:80", "127.0.0.1")])
  func shortAddresses(text: String, address: String) throws {
    #expect(
      try parse("-D -t \(text)")
        == .change(
          .deleteService(
            service: VirtualServiceKey(
              address: IPAddress(address)!, ipProtocol: .tcp, port: Port(80)))))
  }

  @Test func theDefaultSchedulerIsWlc() throws {
    #expect(
      try IpvsadmParser().parse(["-A", "-t", "192.0.2.1:80"])
        == .change(.addService(service: Self.web, scheduler: .wlc)))
  }

  /// What no director in direct routing can do: one sentence each, with cause and mend.
  @Test(arguments: [
    (
      "-a -t 192.0.2.1:80 -r 192.0.2.2:8080 -m",
      "-m: answers never pass a direct-routing director, so it cannot translate their addresses: "
        + "give -g, or nothing"
    ),
    (
      "-e -t 192.0.2.1:80 -r 2001:db8::2 --ipip --tun-type gue --tun-port 6080 --tun-csum",
      "--ipip: real servers are reached on the director's own LAN, without a tunnel: give -g, "
        + "or nothing"
    ),
    (
      "-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip",
      "--pe: clients are known by their addresses only, not by what they say: leave it out"
    ),
    (
      "--start-daemon master --mcast-interface eth0 --syncid 255 --sync-maxlen 1472 "
        + "--mcast-group ff05::5000 --mcast-port 8848 --mcast-ttl 1",
      "--start-daemon: a director keeps its connections to itself, so there is no daemon to "
        + "start: leave the command out"
    ),
  ])
  func whatCannotBe(line: String, sentence: String) throws {
    #expect(refusal(line) == UsageError(sentence, exitCode: 2))
  }

  /// ipvsadm-save(8) and ipvsadm-restore(8).
  @Test func companions() throws {
    let save = IpvsadmParser(programName: "/usr/sbin/ipvsadm-save", names: .none)
    #expect(try save.parse([]) == .save(numeric: false))
    #expect(try save.parse(["foo", "-n"]) == .save(numeric: true))
    #expect(throws: UsageError.self) { try save.parse(["-x"]) }
    let restore = IpvsadmParser(programName: "ipvsadm-restore", names: .none)
    #expect(try restore.parse(["foo"]) == .restore(clearsFirst: true))
  }

  @Test func restoreSkipsCommentsAndBlanks() throws {
    let text = "# a table\r\n\r\n-A -t 192.0.2.1:80 -s rr\r\n   \n\tipvsadm -C\n"
    let lines = try RestoreParser(parser: parser).parse(text)
    #expect(lines.map(\.number) == [3, 5])
    #expect(lines.map(\.command) == [.addService(service: Self.web, scheduler: .rr), .clear])
  }

  @Test(arguments: [
    ("-C\n-Ln\n", "line 2: only commands that change the table can be restored", 2),
    ("-R\n", "line 1: only commands that change the table can be restored", 2),
    ("-C\n\n-C -o", "line 3: Illegal 'ops' option with the 'flush' command", 2),
    (
      "-C\n-A -t 192.0.2.1:80 -w 1",
      "line 2: Illegal 'weight' option with the 'add-service' command", 2
    ),
    ("foo", "line 1: Try `ipvsadm -h' or 'ipvsadm --help' for more information.", 255),
  ])
  func restoreNamesTheLine(text: String, message: String, exitCode: Int32) {
    #expect(throws: UsageError(message, exitCode: exitCode)) {
      try RestoreParser(parser: parser).parse(text)
    }
  }

  @Test func systemNamesResolve() throws {
    #expect(NameService.system.address("localhost") == IPv4Address("127.0.0.1"))
    #expect(NameService.system.address("") == nil)
    #expect(NameService.system.port("domain", .udp) == Port(53))
    #expect(NameService.system.port("no-such-service", .tcp) == nil)
    #expect(NameService.system.serviceName(Port(80), .tcp) == "http")
    #expect(NameService.system.hostName(IPAddress("127.0.0.1")!) == "localhost")
  }
}
