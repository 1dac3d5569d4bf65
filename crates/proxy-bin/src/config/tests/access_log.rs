//! `[log.access]`, `[log.more]` and `log` of a route.

use std::time::Duration;

use proxy_observe::LogRoutes;
use proxy_observe::access_log::{Rotation, SyslogAddress};

use super::Folder;
use crate::config::resolved::LogTarget;

const WEB: &str = "[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n";

fn folder(rest: &str) -> Folder {
    Folder::new(&[("main.toml", &format!("{WEB}{rest}"))])
}

#[test]
fn a_log_says_how_where_and_what() {
    let loaded = folder(
        "[log.access]\npath = \"syslog:udp:127.0.0.1:514\"\nsample = \"5%\"\n\
         slow_threshold = \"2s\"\nqueue_size = \"1MiB\"\n\
         [log.more.api]\npath = \"api.log\"\nformat = \"template\"\ntemplate = \"{method}\"\n\
         rotate = { size = \"1MiB\", interval = \"24h\", keep = 3 }\n\
         [log.more.all]\npath = \"syslog:unix:/dev/log\"\nevery_route = true\n\
         [[routes]]\nname = \"quiet\"\nrespond = { status = 204 }\nlog = false\n\
         match = { paths = [\"/quiet\"] }\n\
         [[routes]]\nname = \"api\"\nrespond = { status = 204 }\nlog = \"api\"\n\
         match = { paths = [\"/api\"] }\n\
         [[routes]]\nname = \"rest\"\nrespond = { status = 204 }\nlog = true\n",
    )
    .load("main.toml")
    .unwrap();
    let access = loaded.resolved.access_log.unwrap();
    let udp = SyslogAddress::Udp("127.0.0.1:514".parse().unwrap());
    assert_eq!(access.target, LogTarget::Syslog(udp));
    assert!((access.sample - 0.05).abs() < 1e-9);
    assert_eq!(access.slow_threshold, Some(Duration::from_secs(2)));
    assert_eq!(access.queue_size, 1 << 20);
    assert_eq!(access.routes, LogRoutes::Except(["quiet".into(), "api".into()].into()));
    let api = &loaded.resolved.more_logs["api"];
    assert_eq!(api.routes, LogRoutes::Only(["api".into()].into()));
    assert_eq!(api.template, Some("{method}".parse().unwrap()));
    let day = Duration::from_secs(86_400);
    let rotation = Rotation { size: Some(1 << 20), interval: Some(day), keep: 3, compress: true };
    assert_eq!(api.rotate, Some(rotation));
    assert_eq!(loaded.resolved.more_logs["all"].routes, LogRoutes::All);
}

#[test]
fn what_makes_no_sense_is_named() {
    for (rest, error) in [
        ("[log.access]\nformat = \"template\"\n", "needs a `template`"),
        ("[log.access]\ntemplate = \"{method}\"\n", "expected `format = \"template\"`"),
        (
            "[log.access]\nformat = \"template\"\ntemplate = \"{metod}\"\n",
            "there is no variable `{metod}`",
        ),
        ("[log.access]\npath = \"syslog:tcp:a:1\"\n", "expected \"syslog:unix:/dev/log\""),
        ("[log.access]\nrotate = { size = \"1MiB\" }\n", "only a file can be put away"),
        ("[log.access]\npath = \"a\"\nrotate = {}\n", "expected a `size`, an `interval`"),
        ("[log.access]\npath = \"a\"\nrotate = { size = \"1KiB\" }\n", "at least 4KiB"),
        ("[log.access]\nqueue_size = \"1KiB\"\n", "expected 64KiB to 1GiB"),
        ("[log.access]\nevery_route = true\n", "is for logs of `[log.more]`"),
        (
            "[log.access]\npath = \"a\"\n[log.more.b]\npath = \"a\"\nevery_route = true\n",
            "is written there already",
        ),
        (
            "[log.more.api]\nevery_route = true\n\
             [[routes]]\nname = \"a\"\nrespond = { status = 204 }\nlog = \"apj\"\n",
            "did you mean `api`?",
        ),
    ] {
        let found = folder(rest).load("main.toml").unwrap_err().to_string();
        assert!(found.contains(error), "{rest}\n{found}");
    }
}
