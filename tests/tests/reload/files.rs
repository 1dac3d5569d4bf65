//! Files: those that change, collapse, or do not answer.

use std::fs;
use std::os::unix::fs::symlink;

use proxyd_tests::client;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd;
use proxyd_tests::silent_file::SilentFile;
use proxyd_tests::waiting;
use proxyd_tests::{configured, ports};

use super::{gateway, mark, set_mark};

/// A pipe in the place of a list, as a folder of a network that is gone.
#[test]
fn files_that_do_not_answer_keep_nobody_waiting() {
    let origin = Origin::saying("hello");
    let mut proxy = gateway(&origin, "", "").start();
    let pipe = SilentFile::make(proxy.folder(), "pipe");
    let more = "\n[filter]\nblock_domains = [\"@pipe\"]\n";
    operator::configure(&proxy, &format!("{}{more}", operator::config(&proxy)));
    proxy.signal("HUP");
    let _asked = pipe.is_read();
    assert_eq!(mark(&proxy), "1");
    proxy.signal("USR1");
    proxy.sigterm();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// Logs may be put away while a reload has opened them already and is not done.
#[test]
fn logs_that_a_reload_has_opened_are_opened_again_with_the_others() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "").start();
    // A pipe is opened once somebody reads it: until then the reload waits, with the first log open.
    let _pipe = SilentFile::make(proxy.folder(), "pipe");
    let logs = "path = \"new.log\"\n\n[log.more.pipe]\npath = \"pipe\"\n";
    operator::edit(&proxy, "path = \"access.log\"\n", logs);
    proxy.signal("HUP");
    let at = |name: &str| proxy.folder().join(name);
    let is_there = |name: &str| at(name).exists().then_some(());
    waiting::until("a log of the reload", || is_there("new.log"));
    for name in ["access.log", "new.log"] {
        fs::rename(at(name), at(&format!("{name}.1"))).expect("renamed");
    }
    proxy.signal("USR1");
    waiting::until("the log in use, once more", || is_there("access.log"));
    let _lines = fs::File::open(at("pipe")).expect("the reload writes there");
    waiting::until("the log of the reload, once more", || is_there("new.log"));
    assert_eq!(mark(&proxy), "1");
    let lines = |name: &str| fs::read_to_string(at(name)).unwrap_or_default();
    waiting::until("the line", || lines("new.log").contains("origin.test").then_some(()));
    assert_eq!(lines("new.log.1"), "");
}

/// The same of one that is watched.
#[test]
fn a_list_that_does_not_answer_any_more_keeps_nobody_from_ending() {
    let origin = Origin::saying("hello");
    let rest = "[filter]\nblock_domains = [\"@list\"]\n";
    let launch = configured::gateway(&origin.url(), "", rest).env(RUNTIME.0, RUNTIME.1);
    let mut proxy = launch.file("list", "a.test\n").start();
    let list = SilentFile::make(proxy.folder(), "pipe").in_place_of("list");
    let _asked = list.is_read();
    assert_eq!(client::get(proxy.address(), "a.test", "/").status(), 403);
    proxy.sigterm();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_list_that_collapses_keeps_its_last_good_version() {
    let origin = Origin::saying("hello");
    let rest = "[filter]\nblock_domains = [\"@list\"]\n";
    let launch = configured::gateway(&origin.url(), "", rest).env(RUNTIME.0, RUNTIME.1);
    let proxy = launch.file("list", "a.test\nb.test\nc.test\nd.test\n").start();
    let blocked = |host: &str| client::get(proxy.address(), host, "/").status() == 403;
    assert!(blocked("a.test"));
    fs::write(proxy.folder().join("list"), "").expect("written");
    let done = operator::reload(&proxy);
    let warnings = done["warnings"].to_string();
    assert!(warnings.contains("the last good one stays"), "{done}");
    assert!(blocked("a.test"));
    fs::write(proxy.folder().join("list"), "b.test\nc.test\nd.test\n").expect("written");
    operator::reload(&proxy);
    assert!(!blocked("a.test") && blocked("b.test"));
}

#[test]
fn the_files_are_watched_where_that_is_asked_for() {
    let origin = Origin::saying("hello");
    let proxy = gateway(&origin, "", "[server]\nwatch = true\n").start();
    assert_eq!(mark(&proxy), "1");
    set_mark(&proxy, "1", "2");
    waiting::until("the change is found", || (mark(&proxy) == "2").then_some(()));
    // And again, by what watches now.
    set_mark(&proxy, "2", "3");
    waiting::until("the change is found", || (mark(&proxy) == "3").then_some(()));
}

#[test]
fn a_link_that_is_swapped_is_a_change() {
    // As Kubernetes mounts a ConfigMap: files are links through a link that is replaced.
    let (address, admin) = (ports::free(), ports::free());
    let config = |mark: &str| {
        format!(
            "[admin]\naddress = \"{admin}\"\n[server]\nwatch = true\n\
             [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
             [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"\" }}\n\
             [routes.response_fields]\nset = {{ x-generation = \"{mark}\" }}\n"
        )
    };
    let launch = proxyd::run_file(address, "mount/proxyd.toml").admin(admin);
    let mount = launch.folder().join("mount");
    let version = |name: &str, mark: &str| {
        fs::create_dir_all(mount.join(name)).expect("a folder");
        fs::write(mount.join(name).join("proxyd.toml"), config(mark)).expect("written");
        symlink(name, mount.join("..new")).expect("a link");
        fs::rename(mount.join("..new"), mount.join("..data")).expect("swapped");
    };
    version("..first", "1");
    symlink("..data/proxyd.toml", mount.join("proxyd.toml")).expect("a link");
    let proxy = launch.env(RUNTIME.0, RUNTIME.1).start();
    assert_eq!(mark(&proxy), "1");
    version("..second", "2");
    waiting::until("the change is found", || (mark(&proxy) == "2").then_some(()));
}
