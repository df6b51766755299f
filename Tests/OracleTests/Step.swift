// SPDX-License-Identifier: Apache-2.0

/// One packet of a sequence.
struct Step {
  /// A frame, or the packet's fragments in the order in which they are sent.
  var frames: [[UInt8]]
  /// The packet in words.
  var words = ""
  /// The number of the service it is for.
  var service = 0
  /// Whether the kernel ends a record because of it, so that its counts change a tick later.
  var endsRecord = false
}

extension Step {
  init(frame: [UInt8], words: String = "") { self.init(frames: [frame], words: words) }

  /// What is sent before one sentinel each: what a worker held back leaves it behind the batch.
  var rounds: [[[UInt8]]] { frames.count > 1 ? [frames, []] : [frames] }
}
