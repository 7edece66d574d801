#!/bin/busybox sh
# The guest's first process: loads the devices, runs the tests, turns the machine off.
#
# Its lines go to the second serial port, where the machine that started the guest reads them: `guest: booted` first,
# `guest: WHAT ended with STATUS` after each run, `guest: done` last.

/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mkdir /dev/shm
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
exec </dev/null >/dev/ttyS1 2>&1
echo "guest: booted in $(cut -d ' ' -f 1 /proc/uptime) s, Linux $(uname -r)"

for module in /modules/*; do
    insmod "$module"
done
# Some kernels leave the device without a driver.
[ -e /sys/bus/dax/devices/dax0.0/driver ] || echo dax0.0 >/sys/bus/dax/drivers/device_dax/new_id
# For the test of hugetlbfs.
echo 8 >/proc/sys/vm/nr_hugepages

export FARROW_BIN_DIR=/bin FARROW_TEST_DAX=/dev/dax0.0
# The machine is gone soon.
export FARROW_TEST_POISON=yes
for device in /sys/bus/pci/devices/*; do
    # ivshmem, as QEMU numbers it.
    [ "$(cat "$device/vendor" "$device/device" | tr '\n' ' ')" = "0x1af4 0x1110 " ] &&
        export FARROW_TEST_BAR="$device/resource2"
done

# One after the other: they have one processor, and wait for each other's processes with a limit.
integration-tests --test-threads=1 device::a_region_in_a_real
echo "guest: integration-tests ended with $?"
region-tests
echo "guest: region-tests ended with $?"
echo "guest: done"
poweroff -f
