// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// What a command line asks for.
public enum Invocation: Hashable, Sendable {
  case change(Command)
  case list(Listing, numeric: Bool)
  /// `-S`: the table as lines that `-R` reads.
  case save(numeric: Bool)
  /// `-R`: command lines from standard input; `ipvsadm-restore` clears the table before.
  case restore(clearsFirst: Bool)
  case help
  case version
}

/// What `-L` shows.
public enum Listing: Hashable, Sendable {
  /// All services, or one.
  case services(VirtualServiceKey?, columns: Columns, isSorted: Bool)
  /// `hasEngines` titles columns that are always empty: there are no persistence engines.
  case connections(hasEngines: Bool)
  case timeouts
  /// Those that synchronize connections: there are none.
  case daemons

  /// What stands right of a service's or real server's name.
  public enum Columns: Hashable, Sendable {
    case configuration
    /// `--stats` and `--rate`; `isExact` writes numbers in full.
    case statistics(isExact: Bool)
    case rates(isExact: Bool)
    case thresholds
    /// `--persistent-conn`.
    case clients
    /// `--tun-info`: as the configuration, with a column for tunnels, of which there are none.
    case tunnels
  }
}
