//! A network of its own for the server, whose cable can be unplugged: packets are lost then, and no
//! connection is closed.

use std::path::Path;
use std::process::{Command, Stdio};

/// A network namespace that is joined to this one by a pair of interfaces.
pub(crate) struct Network {
    name: String,
    /// The interface on this side.
    link: String,
    subnet: u32,
}

impl Network {
    /// Makes a network. `None`, and a line that says so, if this process may not.
    pub(crate) fn create() -> Option<Self> {
        let id = std::process::id();
        let network = Self {
            name: format!("bridge{id}"),
            link: format!("br{id}"),
            subnet: id % 16_000 * 4,
        };
        let Self { name, link, .. } = &network;
        let (here, there) = (network.address(1), network.address(2));
        let peer = format!("{link}p");
        let made = ip(&format!("netns add {name}"))
            && ip(&format!(
                "link add {link} type veth peer name {peer} netns {name}"
            ))
            && ip(&format!("addr add {here}/30 dev {link}"))
            && ip(&format!("link set {link} up"))
            && ip(&format!("-n {name} addr add {there}/30 dev {peer}"))
            && ip(&format!("-n {name} link set {peer} up"))
            && ip(&format!("-n {name} link set lo up"));
        if !made {
            println!("this process may not make a network: nothing was tested");
            return None;
        }
        Some(network)
    }

    /// The address of the server.
    pub(crate) fn host(&self) -> String {
        self.address(2)
    }

    /// A command that runs in the network.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    pub(crate) fn unplug(&self) {
        assert!(ip(&format!("link set {} down", self.link)));
    }

    pub(crate) fn plug(&self) {
        assert!(ip(&format!("link set {} up", self.link)));
    }

    fn address(&self, host: u32) -> String {
        let [_, _, high, low] = (self.subnet + host).to_be_bytes();
        format!("10.231.{high}.{low}")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.link));
        ip(&format!("netns del {}", self.name));
    }
}

/// Runs `ip`. Returns whether it succeeded.
fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments.split(' ')).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
