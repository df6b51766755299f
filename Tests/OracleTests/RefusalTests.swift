// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

#if !DEBUG
  /// Wrong command lines: both say the same words and exit with the same code, and change nothing.
  extension Oracle {
    @Suite(.serialized) struct RefusalTests {
      private static let web = "-t \(TwoDirectors.vip):80"
      private static let other = "-t \(TwoDirectors.vip):81"
      private static let names = "-u \(TwoDirectors.vip):53"

      /// What ipvsadm itself refuses. No name is among it, which the resolver would be asked for.
      private static let grammar = [
        "-A", "-A -s rr", "-A \(other) -s", "-A \(other) -s rr extra", "-A \(other) \(names) -s rr",
        "-A -t \(TwoDirectors.vip):65536 -s rr",
        "-A -t \(TwoDirectors.vip):-1 -s rr", "-A \(other) -w 1",
        "-A \(other) -r 192.168.2.151", "-A \(other) -M 255.255.255.0", "-A \(other) -p 0",
        "-A \(other) -p -1", "-A \(other) -p x", "-A \(other) -p 99999999",
        "-A \(other) -p 300 -M 255.0.255.0x", "-A \(other) -p 300 -M 64", "-A \(other) -o",
        "-A -t [fd00:2::149]:81 -p 300 -M 129", "-A -t [fd00:2::149]:81 -p 300 -M 255.255.255.0",
        "-A \(other) -b sh-port", "-A \(other) -s sh -b nonsense", "-A \(other) -x 3",
        "-a \(web)", "-a -r 192.168.2.152", "-a \(web) -r 192.168.2.152 -w -1",
        "-a \(web) -r 192.168.2.152 -w x", "-a \(web) -r 192.168.2.152 -w 2147483648",
        "-a \(web) -r 192.168.2.152 -w 99999999999", "-a \(web) -r 192.168.2.152 -x -1",
        "-a \(web) -r 192.168.2.152 -x 65536000000", "-a \(web) -r 192.168.2.152 -y x",
        "-a \(web) -r 192.168.2.152 -s rr", "-a \(web) -r 192.168.2.152 -p 10",
        "-a \(web) -r 192.168.2.152:99999",
        "-a \(web) -r 192.168.2.152 -g -g", "-a \(web) -r", "-a \(web) -r 192.168.2.152 -o",
        "-d \(web)", "-d \(web) -r 192.168.2.151 -w 1", "-e \(web) -w 1", "-D", "-D \(web) -s rr",
        "-D \(web) extra", "-E -s rr", "-C \(web)", "-C -n", "-Z -r 192.168.2.151", "-R \(web)",
        "-S -c", "-S \(web)", "-Ln -r 192.168.2.151", "-Ln -c --stats", "-Ln -c --rate",
        "-Ln --stats --rate", "-Ln --timeout -c", "-Ln --daemon --timeout",
        "-Ln --thresholds --stats",
        "-Ln -s rr", "-Ln -w 1", "--set", "--set 1", "--set 1 2", "--set 1 2 3 4", "--set x 2 3",
        "--set -1 2 3", "--set 1 2 9999999999", "--set 1 2 3 -n", "-X", "--nonsense",
        "-A -A \(other)",
        "-A -D \(other)", "-Ln -Z", "-", "--", "extra", "-n", "-Ln extra", "-ln extra",
        "--sort -A \(other)", "-Ln -c -p 1",
      ]

      /// What the director refuses.
      private static let tables = [
        "-A \(web) -s rr", "-A \(other) -s nonsense", "-E \(other) -s rr", "-E \(web) -s nonsense",
        "-D \(other)", "-a \(other) -r 192.168.2.151", "-a \(web) -r 192.168.2.151",
        "-e \(web) -r 192.168.2.152", "-e \(other) -r 192.168.2.151", "-d \(web) -r 192.168.2.152",
        "-d \(other) -r 192.168.2.151", "-Z \(other)", "-Ln \(other)", "-Ln \(other) --stats",
        "-A -t 0.0.0.0:0 -s rr", "-A -t \(TwoDirectors.vip) -s rr", "-A -t \(TwoDirectors.vip):0",
        "-A -t [fd00:2::149]:0 -s rr", "--set 99999999 1 1", "-a \(web) -r [fd00:2::151]:80",
      ]

      /// Deviation.ownWords: the kernel's, and Martinet's, with the same exit code.
      @Test func martinetSaysWhatToMend() throws {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A \(Self.web) -s rr")
        let answers = try pair.answers(to: [
          "-a \(Self.web) -r 192.168.2.152 -x 3 -y 4", "-a \(Self.web) -r 224.0.0.1",
        ])
        #expect(
          answers.map(\.answers.kernel) == [
            "Numerical result out of range\nexit 255\n",
            "Invalid operation.  Possibly wrong module version, address not unicast, ...\n"
              + "exit 255\n",
          ])
        #expect(
          answers.map(\.answers.martinet) == [
            """
            the lower threshold 4 is above the upper threshold 3: give at most that, or 0 for \
            three quarters of it
            exit 255

            """,
            "224.0.0.1 is not a unicast host address: give one that a host can own\nexit 255\n",
          ])
      }

      @Test(arguments: [grammar, tables]) func bothSayTheSame(_ commands: [String]) throws {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A \(Self.web) -s rr")
        try pair.ipvsadm("-a \(Self.web) -r 192.168.2.151")
        for (command, answers) in try pair.answers(to: commands) {
          #expect(answers.kernel == answers.martinet, "ipvsadm \(command)")
        }
        try pair.compareTables()
      }
    }
  }
#endif
