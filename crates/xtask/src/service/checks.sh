#!/bin/sh
# Runs in a Debian system that systemd has just booted: installs the package, and uses, kills, upgrades and removes it.
#
# Its lines go to the console, where the machine that booted the system reads them: `service: booted` first,
# `service: ok WHAT` or `service: FAILED WHAT: WHY` for each check, `service: done` last. The first check that fails is
# the last one, for those that follow build on it.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive
mkdir /tmp/checks && cd /tmp/checks || exit 1

# The agent is unhealthy after 30 s; here nobody waits for that.
WATCHDOG=2s
# No worse than this for `systemd-analyze security`, in tenths: what is left is what the agent needs (see its unit).
EXPOSURE=18

REGION=/run/farrow/memory/region
SOCKET=/run/farrow/agent.sock
# Of the numbers 0 to 99,999.
SUM=4999950000

# check WHAT FUNCTION: runs the function, in which every command has to succeed.
check() {
    (set -e && "$2") >out 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        echo "service: ok $1"
        return
    fi
    journalctl --boot --no-pager --output=short-monotonic --unit='*farrow*' | tail -n 100
    cat out
    echo "service: FAILED $1: $(tail -n 1 out)"
    exit 1
}

# Says why, if the command after it fails.
expect() {
    what=$1
    shift
    "$@" || { echo "$what: $*" && return 1; }
}

# Waits until a command succeeds.
eventually() {
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    echo "not within ten seconds: $*"
    "$@"
}

as() {
    user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
}

agent_is() { [ "$(systemctl show --value --property="$1" farrow-agent)" = "$2" ]; }
agent_pid() { systemctl show --value --property=MainPID farrow-agent; }
serves() { agent_is SubState running && as alice farrow ls; }
replaced() { serves && [ "$(agent_pid)" != "$(cat pid)" ]; }
held() { farrow df --json | sed 's/.*"held":\([0-9]*\).*/\1/'; }
nothing_is_held() { [ "$(held)" = 0 ]; }
journal_has() { journalctl --sync && journalctl --boot --no-pager --unit=farrow-agent --grep="$1"; }

# A process of alice's that has the frame mapped, and reads all of it when it is told to.
mkfifo told
hold() {
    setpriv --reuid=alice --regid=alice --init-groups -- /checks/hold $SOCKET get "$1" <told >said 2>&1 &
    holder=$!
    exec 3<>told
}
holder_reads() {
    echo sum >&3
    lines=$(($1 + 1))
    eventually sh -c "[ \$(wc -l <said) -eq $lines ]"
    expect "what the holder read" test "$(tail -n 1 said)" = $SUM
}

installs() {
    apt-get install --yes /checks/farrow.deb
    expect "the user's directory" test "$(stat -c '%U:%G %a' /run/farrow)" = "farrow:farrow 755"
    expect "an agent without a region" test "$(systemctl is-active farrow-agent)" = inactive
    expect "an agent without a region" test "$(systemctl is-enabled farrow-agent)" = disabled
    farrow --version
    farrow-agent --version
}

has_man_pages_and_completions() {
    for page in man1/farrow.1 man1/farrow-put.1 man8/farrow-agent.8; do
        gzip --test "/usr/share/man/$page.gz"
    done
    for program in farrow farrow-agent; do
        bash -c ". /usr/share/bash-completion/completions/$program && complete -p $program"
        test -s "/usr/share/zsh/vendor-completions/_$program"
        test -s "/usr/share/fish/vendor_completions.d/$program.fish"
    done
    test -s /usr/share/doc/farrow/README.md
}

units_are_understood() {
    systemd-analyze verify --man=no farrow-agent.service farrow-mkfs@memory.service farrow-mkfs@hugetlb.service \
        run-farrow-memory.mount run-farrow-hugetlb.mount >verified 2>&1
    # It succeeds whatever it finds.
    cat verified
    test ! -s verified
}

unit_is_hardened() {
    systemd-analyze security --no-pager --offline=true --threshold=$EXPOSURE farrow-agent.service farrow-mkfs@memory.service
}

starts() {
    mkdir -p /etc/systemd/system/farrow-mkfs@memory.service.d /etc/systemd/system/farrow-agent.service.d
    printf '[Service]\nEnvironment=SIZE=64MiB\n' >/etc/systemd/system/farrow-mkfs@memory.service.d/override.conf
    printf '[Service]\nWatchdogSec=%s\n' $WATCHDOG >/etc/systemd/system/farrow-agent.service.d/override.conf
    systemctl daemon-reload
    systemctl enable farrow-mkfs@memory.service
    systemctl enable --now farrow-agent.service
    expect "the region" test "$(stat -c '%U:%G %a %s' $REGION)" = "farrow:farrow 660 $((64 << 20))"
    grep ' /run/farrow/memory tmpfs .*huge=always' /proc/mounts
    as farrow farrow-agent --check-config
}

has_few_rights() {
    systemctl status --no-pager farrow-agent
    pid=$(agent_pid)
    expect "its user" test "$(stat -c %U "/proc/$pid")" = farrow
    grep '^CapEff:[[:space:]]*0*$' "/proc/$pid/status"
    grep '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status"
    grep '^Seccomp:[[:space:]]*2$' "/proc/$pid/status"
    expect "the socket" test "$(stat -c '%U:%G %a' $SOCKET)" = "farrow:farrow 770"
    expect "the record of holders" test "$(stat -c %a /run/farrow/*.holders)" = 600
}

# The memory controller is in one of two places, or not given to the container at all.
memory_of_the_agent() {
    group=$(systemctl show --value --property=ControlGroup farrow-agent)
    for file in "/sys/fs/cgroup$group/$1" "/sys/fs/cgroup/memory$group/$2"; do
        if [ -r "$file" ]; then cat "$file" && return; fi
    done
    return 1
}

memory_is_bounded() {
    expect "MemoryMax" agent_is MemoryMax $((4 << 30))
    expect "the OOM score" test "$(cat /proc/"$(agent_pid)"/oom_score_adj)" = 0
    expect "what an OOM does" agent_is OOMPolicy stop
    expect "what follows it" agent_is Restart on-failure
}

region_is_not_charged() {
    expect "the limit" test "$(memory_of_the_agent memory.max memory.limit_in_bytes)" = $((4 << 30))
    charged=$(memory_of_the_agent memory.current memory.usage_in_bytes)
    expect "charged, of a region of 64 MiB that is mapped whole" test "$charged" -lt $((48 << 20))
    mapped=$(sed -n 's/^RssShmem: *\([0-9]*\) kB/\1/p' "/proc/$(agent_pid)/status")
    expect "KiB of the region that are mapped" test "$mapped" -ge $((60 << 10))
}

members_publish_and_map() {
    useradd alice
    usermod --append --groups farrow alice
    /checks/frame 100000 >numbers.arrows
    as alice farrow put demo/numbers numbers.arrows
    expect "frames" test "$(as alice farrow ls)" = demo/numbers
    as alice farrow get demo/numbers >got.arrows 2>remarks
    # It would remark that it was streamed.
    expect "what get remarks" test ! -s remarks
    as alice farrow verify demo/numbers
}

others_are_refused() {
    useradd bob
    if as bob farrow ls; then return 1; fi
    if as bob cat $REGION; then return 1; fi
}

frames_are_mapped() {
    eventually grep --quiet held said
    expect "leases" test "$(farrow leases --json | sed 's/.*"pid":\([0-9]*\).*/\1/')" = $holder
    # The agent may have passed the descriptor, out of a mount namespace of its own.
    grep ' r--s .*/region$' /proc/$holder/maps
    holder_reads 1
}

survives_kill() {
    agent_pid >pid
    kill -KILL "$(cat pid)"
    eventually replaced
    expect "restarts" agent_is NRestarts 1
    as alice farrow verify demo/numbers
    holder_reads 2
}

leases_survive_kill() {
    as alice farrow rm demo/numbers
    expect "bytes that a dropped frame holds" test "$(held)" -gt 2000000
    as alice farrow put demo/other numbers.arrows
    holder_reads 3
    kill -KILL $holder
    eventually nothing_is_held
}

watchdog_ends_a_hung_agent() {
    agent_pid >pid
    kill -STOP "$(cat pid)"
    eventually replaced
    journal_has 'Watchdog timeout'
    as alice farrow verify demo/other
}

reloads() {
    agent_pid >pid
    sed -i 's/^#level = "info"/level = "debug"/' /etc/farrow/agent.toml
    systemctl reload farrow-agent
    expect "the process" test "$(agent_pid)" = "$(cat pid)"
    as alice farrow ls
    eventually journal_has DEBUG
}

stops() {
    systemctl restart farrow-agent
    as alice farrow verify demo/other
    systemctl stop farrow-agent
    expect "how it ended" agent_is Result success
    expect "how it ended" agent_is ExecMainStatus 0
    test ! -e $SOCKET
    test -e $REGION
    if as alice farrow ls; then return 1; fi
}

lies_in_reserved_pages() {
    mkdir -p /etc/systemd/system/farrow-mkfs@hugetlb.service.d
    printf '[Service]\nEnvironment=SIZE=32MiB\n' >/etc/systemd/system/farrow-mkfs@hugetlb.service.d/override.conf
    sed -i 's|^region = .*|region = "/run/farrow/hugetlb/region"|' /etc/farrow/agent.toml
    systemctl daemon-reload
    systemctl enable farrow-mkfs@hugetlb.service
    systemctl start farrow-agent
    eventually serves
    as alice farrow put demo/numbers numbers.arrows
    grep ' /run/farrow/hugetlb hugetlbfs ' /proc/mounts
    systemctl stop farrow-agent
    systemctl disable farrow-mkfs@hugetlb.service
    systemctl stop run-farrow-hugetlb.mount
    sed -i 's|^region = .*|region = "/run/farrow/memory/region"|' /etc/farrow/agent.toml
}

boots() {
    systemctl stop run-farrow-memory.mount
    test ! -e $REGION
    systemctl start multi-user.target
    eventually serves
    expect "frames in new memory" test -z "$(farrow ls)"
    as alice farrow put demo/numbers numbers.arrows
}

upgrades() {
    agent_pid >pid
    dpkg --install /checks/farrow.deb
    eventually replaced
    as alice farrow verify demo/numbers
    grep '^level = "debug"' /etc/farrow/agent.toml
}

said_nothing_bad() {
    journalctl --sync
    journalctl --boot --no-pager --unit=farrow-agent --unit='farrow-mkfs@*' --output=cat >journal
    if grep --extended-regexp '[Dd]enied|not permitted|[Rr]ead-only|panicked|^ *(WARN|ERROR) ' journal; then return 1; fi
}

gives_up_on_a_wrong_configuration() {
    cp --archive /etc/farrow/agent.toml right.toml
    echo 'sockets = 1' >>/etc/farrow/agent.toml
    if farrow-agent --check-config; then return 1; fi
    if systemctl restart farrow-agent; then return 1; fi
    expect "its state" agent_is SubState failed
    expect "its exit status" agent_is ExecMainStatus 78
    journal_has 'sockets'
    cp --archive right.toml /etc/farrow/agent.toml
    systemctl start farrow-agent
    as alice farrow verify demo/numbers
}

leaves_its_configuration() {
    apt-get remove --yes farrow
    expect "the agent" test "$(systemctl is-active farrow-agent)" = inactive
    test -e /etc/farrow/agent.toml
    test -e $REGION
    test ! -e /usr/bin/farrow-agent
}

leaves_nothing() {
    rm -r /etc/systemd/system/farrow-*.service.d
    apt-get purge --yes farrow
    for left in /etc/farrow /run/farrow /usr/share/doc/farrow; do
        test ! -e $left
    done
    find / -xdev '(' -name '*farrow*' -o -user farrow -o -group farrow ')' -not -name 'farrow-checks.service' \
        -not -path '/var/lib/systemd/*' >left
    cat left
    test ! -s left
}

echo "service: booted systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"
check "the package is installed, and starts nothing" installs
check "it has man pages and completions" has_man_pages_and_completions
check "systemd-analyze verify finds nothing" units_are_understood
check "systemd-analyze security finds little" unit_is_hardened
check "the agent starts, with a region in huge pages made before it" starts
check "members of the group publish and get" members_publish_and_map
check "others are refused" others_are_refused
check "the agent has few rights" has_few_rights
check "the agent's memory is bounded, and no score spares it" memory_is_bounded
if memory_of_the_agent memory.max memory.limit_in_bytes >/dev/null; then
    check "the region is not charged to the agent" region_is_not_charged
else
    echo "service: skipped: whom the region is charged to: no memory controller in this container"
fi
hold demo/numbers
check "a frame is mapped" frames_are_mapped
check "an agent that is killed is started again, and has its frames" survives_kill
check "what was mapped before that is not reused" leases_survive_kill
check "an agent that hangs is ended by the watchdog and started again" watchdog_ends_a_hung_agent
check "the configuration is reloaded" reloads
check "the agent stops with success" stops
if [ "$(sed -n 's/^HugePages_Free: *//p' /proc/meminfo)" -ge 16 ]; then
    check "a region in reserved huge pages is served" lies_in_reserved_pages
else
    echo "service: skipped: a region in reserved huge pages, under systemd: this machine has none free (vm.nr_hugepages)"
fi
check "mount, region and agent come with the boot" boots
check "an upgrade replaces the agent and keeps frames and configuration" upgrades
check "nothing was denied" said_nothing_bad
check "a wrong configuration is told, and not tried again" gives_up_on_a_wrong_configuration
check "removed, the package leaves configuration and region" leaves_its_configuration
check "purged, it leaves nothing" leaves_nothing
echo "service: done"
