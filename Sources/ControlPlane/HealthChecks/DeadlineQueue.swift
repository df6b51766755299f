// SPDX-License-Identifier: Apache-2.0

/// One deadline for each of a set of small numbers, the earliest first: a binary heap that knows
/// where each number stands in it, so that it never holds more than it has numbers.
struct DeadlineQueue {
  private var heap: [(time: Duration, number: Int)] = []
  /// By number: its place in the heap; -1 where it has no deadline.
  private var places: [Int] = []

  var first: (time: Duration, number: Int)? { heap.first }

  /// Sets a number's deadline, or takes it away.
  mutating func set(_ time: Duration?, of number: Int) {
    while places.count <= number { places.append(-1) }
    switch (places[number], time) {
    case (-1, nil): break
    case (-1, let time?):
      heap.append((time, number))
      places[number] = heap.count - 1
      rise(heap.count - 1)
    case (let place, let time?):
      heap[place].time = time
      settle(place)
    case (let place, nil):
      places[number] = -1
      let last = heap.removeLast()
      guard place < heap.count else { return }
      heap[place] = last
      places[last.number] = place
      settle(place)
    }
  }

  private mutating func settle(_ place: Int) {
    rise(place)
    sink(place)
  }

  private mutating func rise(_ start: Int) {
    var place = start
    while place > 0, heap[place].time < heap[(place - 1) / 2].time {
      exchange(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while 2 * place + 1 < heap.count {
      var child = 2 * place + 1
      if child + 1 < heap.count, heap[child + 1].time < heap[child].time { child += 1 }
      guard heap[child].time < heap[place].time else { return }
      exchange(place, child)
      place = child
    }
  }

  private mutating func exchange(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    places[heap[left].number] = left
    places[heap[right].number] = right
  }
}
