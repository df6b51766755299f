// SPDX-License-Identifier: Apache-2.0

/// Splits arguments into options as popt(3) 1.19 does: `-Ln`, `-t80`, `-t=80`, `-t 80`, `--set`,
/// `--weight=3`, `--weight 3`; other words, and all after `--`, are left over. Long names are not
/// abbreviated.
struct OptionScanner {
  struct Found {
    let option: Option
    /// The option as its user spelled it, alone: `-m`, `--ipip`.
    let spelling: String
    /// The last word that was read for it, which may hold a whole cluster or be its argument.
    var word: String
    var argument: String
  }

  enum Failure: Error {
    case unknown(String)
    case missingArgument(String)
    case unwantedArgument(String)

    /// As `poptStrerror` puts it.
    var message: String {
      switch self {
      case .unknown(let word): "\(word): unknown option"
      case .missingArgument(let word): "\(word): missing argument"
      case .unwantedArgument(let word): "\(word): option does not take an argument"
      }
    }
  }

  private var words: ArraySlice<String>
  /// What is left of a cluster of short options, and the word it began as.
  private var cluster: Substring = ""
  private var clusterWord = ""
  private(set) var leftovers: [String] = []

  init(_ words: [String]) { self.words = words[...] }

  /// The next option; nil after the last.
  mutating func next() throws(Failure) -> Found? {
    if !cluster.isEmpty { return try nextShort() }
    while let word = words.popFirst() {
      if word == "--" {
        leftovers += words
        words = []
      } else if word.hasPrefix("--") {
        return try long(word)
      } else if word.hasPrefix("-"), word != "-" {
        cluster = word.dropFirst()
        clusterWord = word
        return try nextShort()
      } else {
        leftovers.append(word)
      }
    }
    return nil
  }

  private mutating func long(_ word: String) throws(Failure) -> Found {
    let parts = word.dropFirst(2).split(
      separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let option = Option.all.first(where: { $0.long == parts[0] }) else {
      throw .unknown(word)
    }
    let attached = parts.count == 2 ? parts[1] : nil
    return try found(option, "--\(option.long)", in: word, attached: attached)
  }

  private mutating func nextShort() throws(Failure) -> Found {
    let letter = cluster.removeFirst()
    let word = clusterWord
    guard let option = Option.all.first(where: { $0.short == letter }) else {
      cluster = ""
      throw .unknown(word)
    }
    var attached: Substring?
    if cluster.first == "=" {
      attached = cluster.dropFirst()
      cluster = ""
    } else if option.argument != .none, !cluster.isEmpty {
      attached = cluster
      cluster = ""
    }
    return try found(option, "-\(letter)", in: word, attached: attached)
  }

  private mutating func found(
    _ option: Option, _ spelling: String, in word: String, attached: Substring?
  ) throws(Failure) -> Found {
    var found = Found(option: option, spelling: spelling, word: word, argument: "")
    if let attached {
      guard option.argument != .none else { throw .unwantedArgument(word) }
      found.argument = String(attached)
    } else if option.argument == .required {
      guard let following = words.popFirst() else { throw .missingArgument(word) }
      found.argument = following
      found.word = following
    } else if option.argument == .optional, let following = words.first,
      !following.hasPrefix("-")
    {
      words.removeFirst()
      found.argument = following
      found.word = following
    }
    return found
  }
}
