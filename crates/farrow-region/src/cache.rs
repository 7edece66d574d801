//! Cache lines: written back, dropped, and fenced.
//!
//! The one place that knows the processor. Both functions take the words concerned as a slice, so that
//! every address an instruction gets is one the caller may read.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::media::Coherency;

/// Brings what was written to `words` to the medium: it is there before anything stored after this.
pub(crate) fn write_back(words: &[AtomicU64], coherency: Coherency) {
    if coherency == Coherency::Software {
        // A cached line is written back in order with this processor's earlier stores to it, and
        // another processor's stores that happened before are in the caches of this host already: no
        // fence is needed first.
        for_each_line(words, arch::line_size(), arch::write_back_line);
        arch::store_fence();
    }
    fence(Ordering::SeqCst);
}

/// Forgets what the caches hold of `words`: later loads come from the medium.
pub(crate) fn invalidate(words: &[AtomicU64], coherency: Coherency) {
    fence(Ordering::SeqCst);
    if coherency == Coherency::Software {
        // First: no line is dropped before the load that told us to look, else it could be fetched
        // again, stale, in between. Last: no later load is served by a line that is yet to be dropped.
        arch::full_fence();
        for_each_line(words, arch::line_size(), arch::invalidate_line);
        arch::full_fence();
    }
}

/// Calls `f` once for each cache line of `line` bytes (a power of two) that holds some of `words`, with a
/// word within that line.
fn for_each_line(words: &[AtomicU64], line: usize, mut f: impl FnMut(&AtomicU64)) {
    let mut rest = words;
    while let Some(first) = rest.first() {
        f(first);
        let address = std::ptr::from_ref(first).addr();
        let to_next_line = (line - address % line) / size_of::<AtomicU64>();
        rest = rest.get(to_next_line.max(1)..).unwrap_or_default();
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(unsafe_code, reason = "cache maintenance has no safe interface")]
mod arch {
    use std::arch::asm;
    use std::arch::x86_64::{_mm_mfence, _mm_sfence};
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicU64;

    /// Bits of EBX in CPUID leaf 7, subleaf 0 (Intel SDM volume 2A, CPUID).
    const CLFLUSHOPT: u32 = 1 << 23;
    const CLWB: u32 = 1 << 24;

    static FEATURES: LazyLock<u32> = LazyLock::new(|| if cpuid(0).eax >= 7 { cpuid(7).ebx } else { 0 });

    /// Bytes that one CLFLUSH works on: bits 15..8 of EBX in CPUID leaf 1, in units of 8 bytes.
    pub(super) fn line_size() -> usize {
        static LINE: LazyLock<usize> = LazyLock::new(|| match (cpuid(1).ebx >> 8) & 0xff {
            0 => 64,
            units => units as usize * 8,
        });
        *LINE
    }

    pub(super) fn write_back_line(word: &AtomicU64) {
        if *FEATURES & CLWB != 0 {
            // SAFETY: CLWB was reported by CPUID and does not change what memory holds; the address is
            // a live reference's, so it is mapped and readable, which is all CLWB asks for. Without
            // `nomem` the compiler keeps the stores before it before it.
            unsafe { asm!("clwb [{}]", in(reg) word, options(nostack, preserves_flags)) }
        } else {
            invalidate_line(word);
        }
    }

    pub(super) fn invalidate_line(word: &AtomicU64) {
        if *FEATURES & CLFLUSHOPT != 0 {
            // SAFETY: as CLWB above; CLFLUSHOPT was reported by CPUID. A dirty line is written back
            // before it is dropped, so no byte is lost.
            unsafe { asm!("clflushopt [{}]", in(reg) word, options(nostack, preserves_flags)) }
        } else {
            clflush(word);
        }
    }

    pub(super) fn clflush(word: &AtomicU64) {
        // SAFETY: as CLFLUSHOPT above; CLFLUSH is part of SSE2, which every x86_64 has.
        unsafe { asm!("clflush [{}]", in(reg) word, options(nostack, preserves_flags)) }
    }

    /// Orders CLWB, CLFLUSHOPT and stores before it with stores after it.
    pub(super) fn store_fence() {
        // SAFETY: SFENCE has no operand and is part of SSE, which every x86_64 has.
        unsafe { _mm_sfence() }
    }

    /// Orders everything: SFENCE would let later loads pass CLFLUSHOPT.
    pub(super) fn full_fence() {
        // SAFETY: MFENCE has no operand and is part of SSE2, which every x86_64 has.
        unsafe { _mm_mfence() }
    }

    struct Cpuid {
        eax: u32,
        ebx: u32,
    }

    /// CPUID, subleaf 0. `core::arch` has it as an unsafe function up to Rust 1.94 and as a safe one
    /// since: no call of it compiles without a warning on both.
    fn cpuid(leaf: u32) -> Cpuid {
        let (eax, ebx): (u32, u64);
        // SAFETY: every x86_64 has CPUID; it changes eax, ebx, ecx and edx alone, all of which are
        // declared, but rbx, which LLVM keeps for itself and which is put back by the exchange.
        unsafe {
            asm!(
                "mov {rbx}, rbx",
                "cpuid",
                "xchg {rbx}, rbx",
                rbx = out(reg) ebx,
                inout("eax") leaf => eax,
                inout("ecx") 0 => _,
                out("edx") _,
                options(nomem, nostack, preserves_flags),
            );
        }
        // CPUID clears the upper halves of its registers.
        Cpuid { eax, ebx: u32::try_from(ebx).unwrap_or(0) }
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
#[expect(unsafe_code, reason = "cache maintenance has no safe interface")]
mod arch {
    use std::arch::asm;
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicU64;

    /// The smallest data cache line of the machine: DminLine, bits 19..16 of CTR_EL0, the binary
    /// logarithm of its number of 4-byte words (Arm ARM, CTR_EL0).
    pub(super) fn line_size() -> usize {
        static LINE: LazyLock<usize> = LazyLock::new(|| {
            let ctr: u64;
            // SAFETY: Linux lets user space read CTR_EL0, or answers in its place; nothing else changes.
            unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) }
            4 << ((ctr >> 16) & 0xf)
        });
        *LINE
    }

    pub(super) fn write_back_line(word: &AtomicU64) {
        // SAFETY: Linux allows DC CVAC to user space; it does not change what memory holds, and the
        // address is a live reference's, so it is mapped and readable.
        unsafe { asm!("dc cvac, {}", in(reg) word, options(nostack, preserves_flags)) }
    }

    pub(super) fn invalidate_line(word: &AtomicU64) {
        // SAFETY: as DC CVAC above. DC IVAC, which would drop a dirty line, is not for user space.
        unsafe { asm!("dc civac, {}", in(reg) word, options(nostack, preserves_flags)) }
    }

    /// Waits for cache maintenance and stores before it.
    pub(super) fn store_fence() {
        full_fence();
    }

    /// Waits for everything before it.
    pub(super) fn full_fence() {
        // SAFETY: a barrier has no operand and no effect on memory or registers.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
    }
}

/// Machines whose caches user space cannot maintain: fences alone, which is enough on coherent memory.
#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod arch {
    use std::sync::atomic::{AtomicU64, Ordering, fence};

    pub(super) fn line_size() -> usize {
        64
    }

    pub(super) fn write_back_line(_: &AtomicU64) {}

    pub(super) fn invalidate_line(_: &AtomicU64) {}

    pub(super) fn store_fence() {
        fence(Ordering::SeqCst);
    }

    pub(super) fn full_fence() {
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
