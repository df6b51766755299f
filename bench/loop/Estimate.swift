// SPDX-License-Identifier: Apache-2.0

/// The middle of samples that some accident has made wild: the median of the means of all pairs
/// (Hodges and Lehmann 1963), and the interval that the true one is in with 95 %, by Wilcoxon's
/// signed ranks (Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, §3.2 and 3.3).
struct Estimate {
  var middle: Double
  var low: Double
  var high: Double

  /// - Parameter samples: at least one; the interval of fewer than six is all of them.
  init(_ samples: [Double]) {
    var means = samples.indices.flatMap { index in
      samples[index...].map { (samples[index] + $0) / 2 }
    }
    means.sort()
    let count = Double(samples.count)
    let deviation = (count * (count + 1) * (2 * count + 1) / 24).squareRoot()
    let outside = max(0, Int(count * (count + 1) / 4 - 1.96 * deviation))
    middle = median(means)
    (low, high) = (means[outside], means[means.count - 1 - outside])
  }
}
