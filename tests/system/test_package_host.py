"""What installing, upgrading, removing and purging the package does to a Debian with a systemd."""

import os

import debian
import pytest
from debian import newer, package
from host import wait_for

ALICE = 'sites = ({ names = ["alice.test"]; });'
RECORD = "/var/lib/webspaces/default-site"


@pytest.fixture(scope="module")
def plain():
    """As Debian's installer leaves it."""
    yield from debian.machine(debian.systemd_root.PLAIN)


def test_apt_install_of_the_file_pulls_all_that_it_needs_and_the_first_dropped_file_is_served(plain):
    said = plain.install(package())
    for name in ["nginx", "php8.2-fpm", "libinotifytools0", "libcurl4"]:
        assert f"Setting up {name}" in said, name
    assert plain.is_active("webspaces.service")
    plain.drop("alice", ALICE)
    wait_for("alice's account", lambda: plain.result("id", "alice").returncode == 0, 30)
    plain.wait_answers("alice.test", status=403)  # no index yet
    assert plain.result("webspaces", "enter", "alice", "tee", "index.php", input="<?php echo 6 * 7;").returncode == 0
    assert plain.get("alice.test").text == "42"
    assert plain.get("alice.test", https=True).text == "42"


# A host from the installation to the purge ------------------------------------------------------------


def files(machine):
    """All files and directories of the machine, but for what its daemons keep for themselves."""
    found = machine.result("find", "/", "-xdev").stdout.split("\n")
    volatile = ("/proc/", "/sys/", "/run/", "/tmp/", "/var/log/", "/var/cache/", "/var/lib/apt/", "/root/", "/dev/", "/var/tmp/",
                "/var/lib/systemd/timers/")
    return {path for path in found if path and not path.startswith(volatile)}


def changed(machine):
    """Files of other packages that are not as they came."""
    told = machine.result("dpkg", "--verify").stdout
    return {line for line in told.split("\n") if line and "/usr/share/" not in line}


@pytest.fixture(scope="module")
def host():
    """Debian's nginx serves its default site; what there was is kept in host.before."""
    made = debian.machine()
    machine = next(made)
    wait_for("nginx", lambda: machine.is_active("nginx.service"), 60)
    assert "Welcome to nginx" in machine.get("anything.test").text
    machine.before = files(machine), changed(machine)
    machine.said = machine.install(package())
    yield machine
    next(made, None)


def serving(machine):
    """Unit → pid of its main process, of all that serves."""
    told = machine.systemctl("list-units", "--plain", "--no-legend", "webspaces-nginx.service", "webspaces-php@*.service")
    return {unit: machine.property(unit, "MainPID") for unit in (line.split()[0] for line in told.splitlines())}


def alice(machine):
    machine.wait_answers("alice.test", "/id.php", seconds=60)
    return machine.get("alice.test", "/id.php").text


def test_nginx_with_nothing_but_its_default_site_gives_its_ports_to_ours(host):
    assert "served nothing but Debian's default page" in host.said
    assert host.systemctl("is-active", "nginx") == "inactive"
    assert host.systemctl("is-enabled", "nginx") == "disabled"
    host.drop("alice", ALICE)
    wait_for("alice", lambda: host.result("id", "alice").returncode == 0, 30)
    wait_for("its tree", host.path("/home/www/alice/chroot/data").exists, 30)
    host.result("webspaces", "enter", "alice", "tee", "id.php", input="<?php echo posix_getuid();")
    assert alice(host) == host.result("id", "-u", "alice").stdout.strip()


def test_no_file_of_another_package_is_changed(host):
    assert changed(host) == host.before[1]


def test_the_distributions_php_is_left_alone(host):
    assert host.is_active("php8.2-fpm.service") and host.systemctl("is-enabled", "php8.2-fpm") == "enabled"


def test_the_catalog_explains_entries_of_the_journal(host):
    assert "webspaces" in host.result("journalctl", "--list-catalog").stdout


def test_an_upgrade_of_nginx_leaves_the_ports_with_ours_and_says_how_it_gets_the_new_one(host):
    assert alice(host)
    said = host.apt("install", "--reinstall", "nginx", "nginx-common")
    assert "Setting up nginx" in said and "systemctl restart webspaces-nginx" in said
    assert host.systemctl("is-active", "nginx") == "inactive" and host.is_active("webspaces-nginx.service")
    assert alice(host)
    host.systemctl("restart", "webspaces-nginx")
    assert alice(host)
    said = host.result("sh", "-c", "dpkg-trigger --by-package=nginx /usr/sbin/nginx; dpkg --triggers-only --pending").stdout
    assert "webspaces" in said and "systemctl restart webspaces-nginx" not in said


def test_an_upgrade_restarts_the_agent_and_nothing_that_serves(host, tmp_path):
    wait_for("quiet", lambda: host.status("alice"), 30)
    agent, before = host.property("webspaces.service", "MainPID"), serving(host)
    assert len(before) >= 2
    said = host.install(newer(tmp_path))
    assert "default page" not in said
    assert host.property("webspaces.service", "MainPID") != agent
    assert host.is_active("webspaces.service") and serving(host) == before
    assert alice(host)


def test_an_edited_conffile_and_the_admins_choice_of_nginx_survive_upgrades(host, tmp_path):
    host.write("/etc/webspaces/webspaces.conf", 'base_domain = "edited.test";\n')
    host.systemctl("enable", "nginx")
    host.install(newer(tmp_path, "+2"))
    assert "edited.test" in host.read("/etc/webspaces/webspaces.conf")
    assert host.systemctl("is-enabled", "nginx") == "enabled"
    host.systemctl("disable", "nginx")


def looks(machine):
    """How often the agent was told to look again."""
    return machine.journal("-u", "webspaces.service").count("Reloaded webspaces.service")


@pytest.mark.parametrize("path", ["/usr/share/zoneinfo", "/usr/lib/php", "/usr/sbin/nginx", "/usr/share/ca-certificates"],
                         ids=os.path.basename)
def test_a_package_that_changes_what_daemons_or_jails_read_makes_the_agent_look(host, path):
    before = looks(host)
    assert host.result("dpkg-trigger", "--by-package=php8.2-common", path).returncode == 0
    assert host.result("dpkg", "--triggers-only", "--pending").returncode == 0
    wait_for("another look", lambda: looks(host) > before, 30, 0.1)


def test_a_changed_store_of_ca_certificates_makes_the_agent_look(host):
    """Also one that an admin made, by update-ca-certificates, whose hooks these are."""
    before = looks(host)
    assert host.result("run-parts", "/etc/ca-certificates/update.d").returncode == 0
    wait_for("another look", lambda: looks(host) > before, 30, 0.1)


def test_removed_it_serves_no_more_and_debians_page_is_back(host):
    said = host.apt("remove", "webspaces")
    assert "webspaces" in said
    assert host.is_active("nginx.service") and host.systemctl("is-enabled", "nginx") == "enabled"
    assert "Welcome to nginx" in host.get("alice.test").text
    assert host.systemctl("list-units", "--plain", "--no-legend", "webspaces*") == ""
    assert host.result("pgrep", "-f", "php-fpm: pool alice").returncode == 1
    assert not os.path.ismount(host.path("/run/webspaces/ns/mnt"))


def test_removed_it_keeps_the_sites_data_accounts_and_keys(host):
    uid = host.result("id", "-u", "alice").stdout.strip()
    assert host.read("/home/www/alice/chroot/data/id.php") and host.path("/etc/webspaces.d/alice.conf").exists()
    assert uid and host.path("/var/lib/webspaces/certs/alice").exists()


def test_installed_again_it_serves_as_before(host):
    said = host.install(package())
    assert "default page" in said
    assert alice(host) == host.result("id", "-u", "alice").stdout.strip()


def test_purged_it_leaves_users_data_and_nothing_of_its_own(host):
    uid = host.result("id", "-u", "alice").stdout.strip()
    host.apt("purge", "webspaces")
    left = files(host) - host.before[0]
    assert host.read("/home/www/alice/chroot/data/id.php") and host.path("/etc/webspaces.d/alice.conf").exists()
    assert host.result("id", "-u", "alice").stdout.strip() == uid
    users = ("/home/www", "/etc/webspaces.d", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-")
    assert {path for path in left if not path.startswith(users)} == set()
    assert host.before[0] - files(host) == set()
    for path in ["/var/lib/webspaces", "/var/log/webspaces", "/run/webspaces", "/etc/webspaces", "/etc/nginx/webspaces.d"]:
        assert not host.path(path).exists(), path
    assert changed(host) == host.before[1]


def test_a_host_without_webspaces_is_as_it_was_after_a_purge(host):
    for path in ["/etc/webspaces.d", "/home/www"]:
        host.result("rm", "-rf", path)
    host.install(package())
    host.apt("purge", "webspaces")
    assert not host.path("/etc/webspaces.d").exists() and not host.path("/home/www").exists()
    accounts = {path for path in files(host) - host.before[0] if not path.endswith("-")}
    assert accounts == set()


# A host whose nginx serves something -------------------------------------------------------------------

OTHER = "server { listen 80; server_name other.test; return 200 other; }\n"


@pytest.fixture(scope="module")
def busy():
    """Its script is there, the package is not yet."""
    made = debian.machine()
    machine = next(made)
    wait_for("nginx", lambda: machine.is_active("nginx.service"), 60)
    machine.write("/root/default-site", (debian.systemd_root.TOP / "packaging/debian/default-site").read_text(), 0o755)
    yield machine
    next(made, None)


@pytest.mark.parametrize("path,text", [
    ("/etc/nginx/conf.d/other.conf", OTHER),
    ("/etc/nginx/sites-enabled/other", OTHER),
    ("/etc/nginx/conf.d/other.conf", OTHER.replace("server {", "server\n\n{")),
    ("/etc/nginx/sites-available/default", "# changed\n"),
    ("/etc/nginx/modules-enabled/zz.conf", "stream { server { listen 99; return x; } }\n"),
    ("/var/www/html/index.html", "my site"),
    ("/etc/nginx/conf.d/broken.conf", "nonsense;\n"),
], ids=["conf.d", "enabled", "newlines", "edited", "stream", "content", "broken"])
def test_nginx_that_serves_anything_else_is_not_touched(busy, path, text):
    present = busy.path(path).read_text() if busy.path(path).exists() else None
    busy.write(path, (present or "") + text)
    try:
        assert busy.result("/root/default-site", "take").returncode == 0
        assert busy.is_active("nginx.service") and busy.systemctl("is-enabled", "nginx") == "enabled"
        assert not busy.path(RECORD).exists()
    finally:
        if present is None:
            busy.path(path).unlink()
        else:
            busy.write(path, present)


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_nginx_is_given_back_as_it_was(busy, state):
    busy.systemctl("enable" if state == "enabled" else "disable", "nginx")
    busy.result("/root/default-site", "take")
    assert busy.systemctl("is-active", "nginx") == "inactive"
    assert busy.systemctl("is-enabled", "nginx") == "disabled"
    busy.result("/root/default-site", "return")
    assert busy.is_active("nginx.service") and busy.systemctl("is-enabled", "nginx") == state
    busy.systemctl("enable", "nginx")


def test_beside_an_nginx_with_another_site_installation_ends_well_and_says_how_to_go_on(busy):
    busy.write("/etc/nginx/conf.d/other.conf", OTHER)
    busy.systemctl("reload", "nginx")
    busy.wait_answers("other.test")
    said = busy.install(package())
    assert "/etc/nginx/conf.d/other.conf" in said and 'instance = "system"' in said
    assert busy.get("other.test").text == "other"
    assert busy.result("dpkg", "-s", "webspaces").stdout.count("install ok installed") == 1


def test_beside_an_nginx_with_another_site_ours_stays_off_its_ports_and_status_says_who_has_them(busy):
    busy.drop("alice", ALICE)
    site = wait_for("told", lambda: (busy.condition("alice", "Sites") or {}).get("reason") == "HostFault"
                    and busy.condition("alice", "Sites"), 60, 0.2)
    assert "nginx" in site["message"] and ":80" in site["message"]
    assert busy.get("other.test").text == "other"
    assert not busy.is_active("webspaces-nginx.service")


INCLUDE = "/etc/nginx/conf.d/webspaces.conf"


@pytest.fixture
def by_system(busy):
    """The admin lets nginx.service serve the webspaces too, and thinks better of it in the end."""
    settings = "/etc/webspaces/webspaces.conf"
    before = busy.path(settings).read_text()
    busy.write(settings, before + 'nginx = { instance = "system"; };\n')
    busy.systemctl("restart", "webspaces")
    yield
    busy.write(settings, before)


def test_nginx_service_serves_webspaces_too_where_the_admin_says_so_and_goes_on_with_its_own(busy, by_system):
    master = busy.property("nginx.service", "MainPID")
    busy.wait_answers("alice.test", status=403, seconds=60)
    assert busy.get("alice.test", https=True).status == 403
    assert busy.get("other.test").text == "other"
    assert "Welcome to nginx" in busy.get("unknown.test").text
    assert busy.property("nginx.service", "MainPID") == master
    assert not busy.is_active("webspaces-nginx.service")
    busy.systemctl("restart", "nginx")
    busy.wait_answers("alice.test", status=403, seconds=60)
    wait_for("served", lambda: busy.condition("alice", "Sites")["reason"] == "Served", 90, 0.2)


def test_what_nginx_service_includes_goes_when_the_admin_thinks_better_of_it(busy):
    busy.systemctl("restart", "webspaces")
    wait_for("told", lambda: busy.condition("alice", "Sites")["reason"] == "HostFault", 60, 0.2)
    assert not busy.path(INCLUDE).exists()
    assert busy.get("other.test").text == "other"
    assert "Welcome to nginx" in busy.get("alice.test").text


def test_once_nginx_is_disabled_a_reload_puts_ours_on_the_ports(busy):
    busy.systemctl("disable", "--now", "nginx")
    busy.systemctl("reload", "webspaces")
    busy.wait_answers("alice.test", status=403, seconds=60)


def test_a_removal_gives_back_only_what_was_taken(busy, by_system):
    wait_for("what nginx would include", busy.path(INCLUDE).exists, 60)
    busy.apt("remove", "webspaces")
    assert not busy.path(INCLUDE).exists()
    assert busy.systemctl("is-enabled", "nginx") == "disabled" and not busy.is_active("nginx.service")
