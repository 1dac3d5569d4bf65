//! A set of networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fold;

/// A set of networks; lookups fold IPv4-mapped addresses first.
///
/// ```
/// use proxy_core::{ClientAddr, IpSet};
/// let set: IpSet = ["10.0.0.0/8", "::1/128"].iter().map(|n| n.parse().unwrap()).collect();
/// assert!(ClientAddr::new("::ffff:10.1.2.3".parse().unwrap()).is_in(&set));
/// ```
#[derive(Clone, Debug, Default)]
pub struct IpSet {
    /// Disjoint and sorted, so that one binary search decides.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl IpSet {
    /// Whether an address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match fold(ip) {
            IpAddr::V4(ip) => lies_in(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => lies_in(&self.v6, u128::from(ip)),
        }
    }

    /// True where it holds no network.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<IpNet> for IpSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let mut set = Self::default();
        for net in IpNet::aggregate(&nets.into_iter().map(fold_net).collect::<Vec<_>>()) {
            match net {
                IpNet::V4(n) => set.v4.push((n.network().into(), n.broadcast().into())),
                IpNet::V6(n) => set.v6.push((n.network().into(), n.broadcast().into())),
            }
        }
        set.v4.sort_unstable();
        set.v6.sort_unstable();
        set
    }
}

fn lies_in<T: Ord + Copy>(ranges: &[(T, T)], ip: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= ip);
    after > 0 && ip <= ranges[after - 1].1
}

fn fold_net(net: IpNet) -> IpNet {
    if let IpNet::V6(n) = net
        && n.prefix_len() >= 96
        && let Some(v4) = n.addr().to_ipv4_mapped()
        && let Ok(folded) = ipnet::Ipv4Net::new(v4, n.prefix_len() - 96)
    {
        return IpNet::V4(folded.trunc());
    }
    net.trunc()
}
