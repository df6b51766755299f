// SPDX-License-Identifier: Apache-2.0

/// Where frames go once they are decided.
extension WorkerLoop {
  /// Packets that are forwarded by the same interface as the batch's first, as all of a batch
  /// mostly are, go to its transmit ring as they lie; the others, and what follows them or the
  /// ring's end, are dispatched out of line.
  @inline(__always)
  mutating func dispatch(
    _ descriptors: UnsafePointer<FrameDescriptor>, _ count: UInt32, from interface: Int,
    _ now: Tick
  ) {
    let (verdicts, first) = (verdicts, verdicts.pointee)
    let main = first.isForward ? Int(first.egress) : interface
    let straight = Verdict.forward(EgressIndex(truncatingIfNeeded: main))
    let egress = queues + main
    let row = egress.pointee.transmit.row(egress.pointee.isDown ? 0 : count)
    var sent = 0
    while sent < Int(row.count), _fastPath(verdicts[sent] == straight) {
      FrameDescriptor.transmit(descriptors + sent, in: row.entries + sent)
      sent &+= 1
    }
    let counters = queues[interface].counters
    counters.add(1, to: .batches)
    counters.countBatch(of: count)
    counters.add(UInt64(count), to: .received)
    counters.add(UInt64(sent), to: .forwarded)
    egress.pointee.transmit.submit(UInt32(truncatingIfNeeded: sent))
    if _slowPath(sent < Int(count)) {
      dispatchRest(descriptors, sent..<Int(count), from: interface, main, now)
    }
  }

  /// Forwarded packets go to the transmit ring of their egress, answers to that of the interface
  /// where they came in, held ones into the pen, all others back to the fill ring.
  ///
  /// - Parameter main: the interface by which most leave.
  @inline(never)
  private mutating func dispatchRest(
    _ descriptors: UnsafePointer<FrameDescriptor>, _ rest: Range<Int>, from interface: Int,
    _ main: Int, _ now: Tick
  ) {
    var (sent, elsewhere, answered) = (UInt32(0), UInt32(0), UInt32(0))
    var (dropped, held) = (UInt32(0), false)
    let (queue, egress) = (queues + interface, queues + main)
    _ = queue.pointee.fill.reserve(UInt32(truncatingIfNeeded: rest.count))
    let (toSend, toFill) = (egress.pointee.transmit.vacancies, queue.pointee.fill.vacancies)
    let (chunkMask, verdicts, mainIsUp) = (chunkMask, verdicts, !egress.pointee.isDown)
    var index = rest.lowerBound
    while index < rest.upperBound {
      // Garbage comes in runs: a loop of its own has all that it reads in registers.
      while index < rest.upperBound, verdicts[index].isDrop {
        toFill.write(descriptors[index].address & chunkMask, at: dropped)
        dropped &+= 1
        index &+= 1
      }
      guard index < rest.upperBound else { break }
      let (descriptor, verdict) = (descriptors[index], verdicts[index])
      index &+= 1
      if verdict == .hold {
        held = true
      } else {
        let isForward = verdict.isForward
        let packet = FrameDescriptor(
          address: descriptor.address,
          length: isForward ? descriptor.length : verdict.answerBytes)
        let leaving = isForward ? Int(verdict.egress) : interface
        if leaving == main, mainIsUp {
          toSend.write(packet, at: sent)
          sent &+= 1
        } else if queues[leaving].send(packet) {
          elsewhere &+= 1
        } else {
          if isForward { forwarder.countDrop(.egressDown, descriptor) }
          toFill.write(descriptor.address & chunkMask, at: dropped)
          dropped &+= 1
          continue
        }
        answered &+= isForward ? 0 : 1
      }
    }
    if mainIsUp { egress.pointee.transmit.submit(sent) }
    queue.pointee.fill.submit(dropped)
    let counters = queue.pointee.counters
    counters.add(UInt64(sent &+ elsewhere &- answered), to: .forwarded)
    counters.add(UInt64(answered), to: .answered)
    counters.add(UInt64(dropped), to: .dropped)
    if held { hold(descriptors, rest, counters, now) }
  }

  /// Puts the held frames of a batch into the pen, each counted; the oldest make room if need be.
  private mutating func hold(
    _ descriptors: UnsafePointer<FrameDescriptor>, _ rest: Range<Int>, _ counters: QueueCounters,
    _ now: Tick
  ) {
    for index in rest where verdicts[index] == .hold {
      counters.add(1, to: .held)
      if pen.isFull { giveUpOldest(1, .fragmentPenFull) }
      pen.admit(descriptors[index], now: now)
    }
  }

  /// Decides the held frames anew where that may help, in the order in which they came, and gives
  /// those up whose time is over.
  @inline(never) mutating func reviewHeld(now: Tick) {
    guard pen.isDue(firstFragments: forwarder.firstFragments, now: now) else { return }
    giveUpOldest(pen.overdue(at: now), .fragmentUnmatched)
    let asked = min(Int(room), pen.count)
    forwarder.forward(
      pen.descriptors, count: asked, frames: frames, frameBytes: frameBytes, now: now,
      verdicts: verdicts)
    var kept = 0
    for place in 0..<pen.count {
      if place >= asked || verdicts[place] == .hold {
        pen.move(place, to: kept)
        kept &+= 1
      } else {
        release(pen.descriptors[place], verdicts[place])
      }
    }
    pen.shorten(to: kept)
  }

  /// Sends a frame that was held, or drops it.
  private func release(_ packet: FrameDescriptor, _ verdict: Verdict) {
    let counters = home(of: packet.address).pointee.counters
    counters.add(1, to: .released)
    if verdict.isForward, queues[Int(verdict.egress)].send(packet) {
      return counters.add(1, to: .forwarded)
    }
    if verdict.isForward { forwarder.countDrop(.egressDown, packet) }
    giveBack(packet.address)
    counters.add(1, to: .dropped)
  }

  /// Drops the first `count` frames of the pen.
  private mutating func giveUpOldest(_ count: Int, _ reason: DropReason) {
    guard count > 0 else { return }
    for place in 0..<count {
      let packet = pen.descriptors[place]
      forwarder.countDrop(reason, packet)
      home(of: packet.address).pointee.counters.add(1, to: .dropped)
      giveBack(packet.address)
    }
    pen.removeFirst(count)
  }

  /// Gives all held frames up: nothing comes any more that could decide them.
  mutating func abandonHeld() { giveUpOldest(pen.count, .fragmentUnmatched) }
}
