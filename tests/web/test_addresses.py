"""What is worked out at less cost is what Python's own library says of addresses and networks."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web.addresses import LOCAL_NETWORKS, Address, canonical, networks

# Things that are nearly addresses, and some that are.
NEARLY = st.text("0123456789.", max_size=16) | st.from_regex(r"\A(\d{1,3}\.){3}\d{1,3}(%\w+)?\Z")
ADDRESSES: st.SearchStrategy[Address] = st.ip_addresses()


def _by_the_library(host: str) -> Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _next(address: Address) -> Address:
    return type(address)((int(address) + 1) % 2**address.max_prefixlen)


class AddressTests(SynchronousTestCase):
    @given(st.text(max_size=12) | NEARLY | ADDRESSES.map(str))
    def test_text_means_the_address_that_the_library_reads(self, host: str) -> None:
        self.assertEqual(canonical(host), _by_the_library(host))

    def test_ipv4_comes_out_of_its_ipv6_wrapping_and_without_a_zone(self) -> None:
        self.assertEqual(canonical("::ffff:192.168.1.2"), IPv4Address("192.168.1.2"))
        self.assertEqual(canonical("fe80::1%eth0"), IPv6Address("fe80::1"))
        for host in ("010.0.0.1", "1.2.3", "1.2.3.4 ", "1.2.3.4\0", "", "a.b.c.d", "\u0661.2.3.4"):
            self.assertIsNone(canonical(host), host)

    @given(
        st.lists(st.sampled_from(LOCAL_NETWORKS) | ADDRESSES.map(lambda each: f"{each}/9"), max_size=4),
        ADDRESSES,
    )
    def test_address_is_in_a_network_where_the_library_says_so(
        self, texts: list[str], other: Address
    ) -> None:
        spans = [ip_network(text, strict=False) for text in texts]
        near = [end for span in spans for end in (span[0], span[-1], _next(span[-1]))]
        is_in_one = networks(texts)
        for address in (*near, other):
            self.assertEqual(is_in_one(address), any(address in span for span in spans), address)
