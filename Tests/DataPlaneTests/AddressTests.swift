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
}
