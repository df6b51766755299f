// SPDX-License-Identifier: Apache-2.0
import AdminAPI

/// What `martinet top` shows, and what keys make of it.
struct TopScreen {
  private var text: StatusText
  private var status: StatusReport?
  private var interval: StatusText.Interval?
  private var sampleTime = 0.0
  /// The first line of the list that is shown.
  private var offset = 0
  /// A filter that is being typed.
  private var draft: String?

  /// Why there is no newer sample; nil while there is.
  var trouble: String?

  init(text: StatusText) { self.text = text }

  /// - Parameter time: seconds of a clock that only goes on.
  mutating func take(_ sample: StatusReport, at time: Double) {
    interval = status.map { StatusText.Interval(since: $0, seconds: time - sampleTime) }
    status = sample
    trouble = nil
    sampleTime = time
  }

  /// The picture, of at most so many lines and columns.
  mutating func lines(rows: Int, columns: Int) -> [String] {
    guard let status else { return [] }
    let head = text.head(status, over: interval, queueLimit: max(1, rows / 4)) + [text.title]
    let list = text.list(status)
    let room = max(0, rows - head.count - 1)
    offset = max(0, min(offset, list.count - room))
    let shown = list.dropFirst(offset).prefix(room)
    return (head + shown + [foot(offset, shown.count, list.count)]).suffix(rows)
      .map { String($0.prefix(columns)) }
  }

  private func foot(_ first: Int, _ count: Int, _ all: Int) -> String {
    if let draft { return "filter: \(draft)_" }
    if let trouble { return trouble }
    let part = count == all ? "" : "lines \(first + 1)-\(first + count) of \(all), "
    let filter = text.filter.isEmpty ? "" : ", only \"\(text.filter)\""
    return "\(part)sorted: \(text.order.rawValue)\(filter)   a n c r p b sort  / filter  q end"
  }

  /// Does what a key says; true where that is to end.
  mutating func isDone(with key: Terminal.Key?, rows: Int) -> Bool {
    guard let key else { return false }
    if draft != nil {
      edit(key)
      return false
    }
    switch key {
    case .character("q"): return true
    case .character("/"): draft = text.filter
    case .character(let character):
      if let order = Self.orders[character] { (text.order, offset) = (order, 0) }
    case .escape: text.filter = ""
    case .up: offset -= 1
    case .down: offset += 1
    case .pageUp: offset -= max(1, rows / 2)
    case .pageDown: offset += max(1, rows / 2)
    case .home: offset = 0
    case .last: offset = .max / 2
    case .enter, .backspace, .resize, .end: break
    }
    return false
  }

  private static let orders: [Character: StatusText.Order] = [
    "a": .added, "n": .name, "c": .connections, "r": .rate, "p": .packets, "b": .bytes,
  ]

  /// A filter has at most this many characters.
  private static let longestFilter = 60

  private mutating func edit(_ key: Terminal.Key) {
    switch key {
    case .enter: (text.filter, draft, offset) = (draft ?? "", nil, 0)
    case .escape: draft = nil
    case .backspace: _ = draft?.popLast()
    case .character(let character):
      if draft!.count < Self.longestFilter { draft!.append(character) }
    default: break
    }
  }
}
