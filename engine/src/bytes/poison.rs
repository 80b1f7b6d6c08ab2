//! Free blocks are closed to AddressSanitizer: whoever looks at one is reported, as with memory of
//! the heap. Nothing in any other build.
//!
//! Source: LLVM `sanitizer/asan_interface.h`.

use std::ptr::NonNull;

#[cfg(odradek_asan)]
mod asan {
    use std::ffi::c_void;

    unsafe extern "C" {
        pub(super) fn __asan_poison_memory_region(address: *const c_void, bytes: usize);
        pub(super) fn __asan_unpoison_memory_region(address: *const c_void, bytes: usize);
    }
}

/// Nobody may look at this memory from now on.
#[inline]
pub(super) fn close(start: NonNull<u8>, bytes: usize) {
    #[cfg(odradek_asan)]
    // SAFETY: it touches the shadow of these bytes only, which are mapped.
    unsafe {
        asan::__asan_poison_memory_region(start.as_ptr().cast(), bytes);
    }
    let _ = (start, bytes);
}

/// It is somebody's again.
#[inline]
pub(super) fn open(start: NonNull<u8>, bytes: usize) {
    #[cfg(odradek_asan)]
    // SAFETY: as above.
    unsafe {
        asan::__asan_unpoison_memory_region(start.as_ptr().cast(), bytes);
    }
    let _ = (start, bytes);
}
