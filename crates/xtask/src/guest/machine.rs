//! The guest as a machine: its memory and its devices.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;
use xshell::Shell;

use super::packages::Packages;

/// The system's memory in MiB, the programs' files included.
const SYSTEM_MIB: u32 = 1280;
/// The memory that becomes `/dev/dax0.0`, in MiB.
const DAX_MIB: u32 = 64;
/// The memory of the PCI device, in MiB.
const BAR_MIB: u32 = 64;

/// Boots the guest from `image` and gives each line that it says to `hear`; what the kernel says goes to the file
/// `console`. Returns how QEMU ended.
///
/// The processor is emulated: that works on every machine, whatever is said of KVM.
pub(super) fn boot(
    shell: &Shell,
    packages: &Packages,
    image: &Path,
    console: &Path,
    mut hear: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    let [bios, firmware] = packages.firmware();
    let qemu = packages.qemu(shell).args(devices());
    let qemu = qemu.arg("-L").arg(bios).arg("-L").arg(firmware);
    let qemu = qemu.arg("-kernel").arg(packages.kernel()?).arg("-initrd").arg(image);
    let qemu = qemu.arg("-append").arg(kernel_arguments());
    // The first serial port is the kernel's console, the second one is for results.
    let qemu = qemu.arg("-serial").arg(format!("file:{}", console.display()));
    let qemu = qemu.args(["-serial", "file:/dev/stdout"]);

    let shown = qemu.to_string();
    println!("$ {shown}");
    let mut child = Command::from(qemu)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{shown}`"))?;
    let output = child.stdout.take().context("the child's output was piped")?;
    for line in BufReader::new(output).split(b'\n') {
        hear(String::from_utf8_lossy(&line.context("read what the guest says")?).trim_end());
    }
    child.wait().context("wait for QEMU")
}

/// Two NUMA nodes, because the second one's memory, which begins at 4 GiB, shall be the device's and nothing else's;
/// and ivshmem, a PCI device that consists of memory.
///
/// Two processors could be there, though one is: only then does QEMU make accesses of words atomic for others too.
fn devices() -> Vec<String> {
    let machine = format!("q35,max-ram-below-4g={SYSTEM_MIB}M");
    let total = format!("{}M", SYSTEM_MIB + DAX_MIB);
    let memory = |name: &str, mib: u32| format!("memory-backend-ram,id={name},share=on,size={mib}M");
    let (system, dax, bar) = (memory("system", SYSTEM_MIB), memory("dax", DAX_MIB), memory("bar", BAR_MIB));
    let arguments = [
        ["-nodefaults", "-no-user-config"].as_slice(),
        &["-no-reboot"],
        &["-display", "none"],
        &["-accel", "tcg,thread=multi"],
        &["-cpu", "max,-avx2,-erms"],
        &["-smp", "1,maxcpus=2"],
        &["-M", &machine],
        &["-m", &total],
        &["-object", &system],
        &["-numa", "node,nodeid=0,memdev=system,cpus=0-1"],
        &["-object", &dax],
        &["-numa", "node,nodeid=1,memdev=dax"],
        &["-object", &bar],
        &["-device", "ivshmem-plain,memdev=bar"],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

/// The memory at 4 GiB is taken for Soft-Reserved (0xefffffff), as firmware describes CXL memory to a host, instead of
/// usable (1). A panic ends the guest.
fn kernel_arguments() -> String {
    format!("console=ttyS0 quiet panic=-1 nokaslr memmap={DAX_MIB}M%4G-1+0xefffffff")
}
