#!/bin/sh
# Installs the peers of the interop tests, where that can be done: as root, on Debian and its relatives. Elsewhere it says
# what is missing and which command installs it; the tests of a missing peer are then skipped by name. With CI=true a
# missing peer is an error.
set -eu

PATH="$PATH:/usr/sbin:/sbin"

# program:package
peers="openssl:openssl gnutls-cli:gnutls-bin gnutls-serv:gnutls-bin certtool:gnutls-bin curl:curl nginx:nginx-light
    java:default-jdk-headless javac:default-jdk-headless chromium:chromium certutil:libnss3-tools
    pk12util:libnss3-tools tstclnt:libnss3-tools tinyproxy:tinyproxy-bin microsocks:microsocks
    redis-server:redis-server initdb:postgresql postgres:postgresql mariadbd:mariadb-server exim4:exim4-daemon-light
    dovecot:dovecot-core imap-login:dovecot-imapd pop3-login:dovecot-pop3d lmtp:dovecot-lmtpd
    managesieve-login:dovecot-managesieved slapd:slapd prosody:prosody vsftpd:vsftpd nnrpd:inn2 setpriv:util-linux
    softhsm2-util:softhsm2"

missing_packages() {
    # Debian has these programs nowhere else.
    PATH="$PATH$(printf ':%s' /usr/lib/postgresql/*/bin /usr/lib/dovecot /usr/lib/news/bin)"
    for peer in $peers; do
        command -v "${peer%%:*}" >/dev/null 2>&1 || echo "${peer##*:}"
    done | sort -u | tr '\n' ' '
}

# The tests start their own servers: no package may start one of its own on this machine.
policy=/usr/sbin/policy-rc.d
hold_services() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
}

# inn2 cannot be set up on a machine whose name has no domain, unless this file gives it one. It is for the set-up alone.
news_configuration() {
    cat <<END
domain: news.example
pathhost: news.example
mta: "/bin/true"
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
pathnews: /usr/lib/news
pathdb: /var/lib/news
pathetc: /etc/news
pathspool: /var/spool/news
pathrun: /run/news
END
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    INNCONF=$(mktemp)
    export INNCONF
    news_configuration >"$INNCONF"
    chmod 644 "$INNCONF"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $1
    rm -f "$INNCONF"
}

missing=$(missing_packages)
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null 2>&1; then
    echo "peers: installing $missing"
    log=$(mktemp)
    hold_services
    install_packages "$missing" >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
    missing=$(missing_packages)
fi

if [ -z "$missing" ]; then
    echo "peers: all are there"
    exit 0
fi
echo "peers: missing: $missing"
echo "peers: their tests are skipped. On Debian, as root: apt-get install $missing"
[ "${CI:-}" != true ] || exit 1
