// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Testing

@Suite struct AddressTests {
  @Test(arguments: ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::1"])
  func textRoundTrips(_ text: String) throws {
    #expect(try #require(IPAddress(text)).description == text)
  }

  @Test(arguments: ["", "1.2.3", "1.2.3.256", "1.2.3.4 ", "2001:db8::1%lo", "[::1]", ":::"])
  func otherTextIsNoAddress(_ text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func hostOrder() {
    #expect(IPv4Address("192.0.2.1")?.rawValue == 0xc000_0201)
    #expect(IPv6Address("2001:db8::1") == IPv6Address(high: 0x2001_0db8_0000_0000, low: 1))
    #expect(MACAddress("02:00:00:00:00:0a")?.rawValue == 0x0200_0000_000a)
    #expect(MACAddress("2:0:0:0:0:a") == nil)
  }

  @Test(arguments: [
    ("192.0.2.77/24", "192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
    ("192.0.2.1", "192.0.2.1/32", "192.0.2.1", "192.0.2.0"),
    ("10.9.8.7/0", "0.0.0.0/0", "255.255.255.255", "::"),
    ("128.0.0.0/1", "128.0.0.0/1", "128.0.0.1", "127.255.255.255"),
    ("2001:db8::1/33", "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
    ("2001:db8::1:2/127", "2001:db8::1:2/127", "2001:db8::1:3", "2001:db8::1:4"),
    ("::1", "::1/128", "::1", "0.0.0.1"), ("fd00::/0", "::/0", "ff::", "0.0.0.0"),
  ])
  func prefixes(text: String, canonical: String, inside: String, outside: String) throws {
    let prefix = try #require(AddressPrefix(text))
    #expect(prefix.description == canonical && AddressPrefix(canonical) == prefix)
    #expect(prefix.contains(try #require(IPAddress(inside))))
    #expect(!prefix.contains(try #require(IPAddress(outside))))
  }

  @Test(arguments: [
    "", "/", "/8", "192.0.2.1/", "192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/+8",
    "::/129", "192.0.2.1/8/8", "192.0.2.1/ 8", "192.0.2.1/99999999999999999999", "192.0.2/24",
  ])
  func otherTextIsNoPrefix(_ text: String) {
    #expect(AddressPrefix(text) == nil)
  }
}
