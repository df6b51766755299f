// SPDX-License-Identifier: Apache-2.0

/// What `-h` and `-v` print.
public enum HelpText {
  /// In the shape of ipvsadm's version line, which it names because scripts look for it.
  public static let version =
    "ipvsadm v1.31 (Martinet, with the grammar and texts of ipvsadm 1.31 and IPVS v1.2.1)\n"

  public static func usage(programName: String) -> String {
    let forms = [
      "-A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] [-b flags] [-o]",
      "-D virtual-service", "-C", "-R", "-S [-n]",
      "-a|e virtual-service -r server-address [-g] [-w weight] [-x upper] [-y lower]",
      "-d virtual-service -r server-address", "-L|l [virtual-service] [options]",
      "-Z [virtual-service]", "--set tcp tcpfin udp", "-h",
    ]
    return version + "Usage:\n"
      + forms.map { "  \(programName) \($0)\n" }.joined() + "\n" + options
  }

  private static let options = """
    Commands, long or short:
      --add-service     -A        add a virtual service
      --edit-service    -E        change its scheduler, flags, persistence and -o
      --delete-service  -D        delete it with its real servers
      --clear           -C        delete all virtual services
      --restore         -R        read commands from standard input, one per line
      --save            -S        write the table as such commands to standard output
      --add-server      -a        add a real server to a virtual service
      --edit-server     -e        change its weight and thresholds
      --delete-server   -d        delete it
      --list            -L|-l     list the table
      --zero            -Z        zero the counters of one service, or of all
      --set tcp tcpfin udp        set timeouts in seconds; 0 keeps the present one
      --help            -h        show this

    virtual-service:
      --tcp-service|-t  host:port, or [IPv6 address]:port
      --udp-service|-u  host:port, or [IPv6 address]:port
      --sctp-service    host:port, or [IPv6 address]:port
      --fwmark-service|-f mark [-6]       what `martinet mark` says that it stands for

    Options:
      --scheduler    -s scheduler         wlc if not said; or rr wrr lc lblc lblcr dh sh sed nq fo
                                          ovf mh twos, or maglev: by address and port, with
                                          bounded load
      --sched-flags  -b flags             sh-fallback,sh-port or mh-fallback,mh-port
      --persistent   -p [timeout]         a client keeps its real server, 360 s if not said
      --netmask      -M netmask           clients alike under it are one; IPv6: a prefix length
      --ops          -o                   every datagram by itself, without a record; UDP only
      --real-server  -r server-address    a host on the director's own network
      --gatewaying   -g                   direct routing: the only method, and the default
      --weight       -w weight            0 to 2147483647, 1 by default; 0 takes no new connections
      --u-threshold  -x upper             so many connections overload it; 0, the default: no limit
      --l-threshold  -y lower             below so many no longer; 0: three quarters of the upper
      --connection   -c                   list connections
      --timeout                           list the timeouts (tcp tcpfin udp)
      --stats                             list totals
      --rate                              list rates per second
      --thresholds                        list thresholds and connections
      --persistent-conn                   list how many clients each real server keeps
      --tun-info                          list tunnels: direct routing has none
      --daemon                            list synchronization daemons: there are none
      --exact                             write numbers in full
      --numeric      -n                   addresses and ports as numbers
      --nosort                            list in the order of the scheduler
      --sort                              list sorted, as by default

    Refused, each with its reason:
      --masquerading -m, --ipip -i, --pe, --start-daemon

    """
}
