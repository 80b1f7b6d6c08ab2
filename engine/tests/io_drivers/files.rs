//! Files and their names.

use super::*;

#[test]
fn files_are_written_read_and_measured() {
    on_all(|on| async move {
        let (io, at) = (&on.io, on.directory.join("a"));
        let file = io.open(&at, WRITE).await.expect("open");
        let bytes = pattern(100_000);
        io.write(file, 0, owned(&bytes), false)
            .await
            .expect("write");
        io.data_sync(file).await.expect("fdatasync");
        io.write(file, 5_000, owned(b"over"), true)
            .await
            .expect("dsync");
        io.write_now(file, 99_998, owned(b"tail"), false)
            .await
            .expect("now");
        io.sync(file).await.expect("fsync");
        assert_eq!(io.size(file).await, Ok(100_002));
        let mut wanted = bytes;
        wanted.resize(100_002, 0);
        wanted[5_000..5_004].copy_from_slice(b"over");
        wanted[99_998..].copy_from_slice(b"tail");
        assert!(contents(io, &at).await == wanted, "{}", on.name);

        io.truncate(file, 10).await.expect("shrink");
        io.truncate(file, 5_000).await.expect("grow");
        wanted.truncate(10);
        wanted.resize(5_000, 0);
        assert!(contents(io, &at).await == wanted);
        io.allocate(file, 4_000, 8_000).await.expect("allocate");
        wanted.resize(12_000, 0);
        assert!(contents(io, &at).await == wanted);

        let block = io.pool().take(PAGE);
        let (got, _) = io.read(file, 12_000, block, 0, PAGE).await;
        assert_eq!(got, Ok(0));
        io.close(file).await;
        let again = OpenMode {
            truncate: true,
            ..WRITE
        };
        let file = io.open(&at, again).await.expect("open");
        assert_eq!(io.size(file).await, Ok(0));
        io.close(file).await;
    });
}

#[test]
fn what_was_written_is_data() {
    on_all(|on| async move {
        let (io, at) = (&on.io, on.directory.join("sparse"));
        let (page, end) = (PAGE as u64, 64 * PAGE as u64);
        let file = io.open(&at, WRITE).await.expect("open");
        io.allocate(file, 0, end).await.expect("allocate");
        let bytes = owned(&pattern(PAGE));
        io.write(file, 9 * page, bytes, true).await.expect("write");
        for pos in [0, 5_000, 9 * page, 10 * page - 1] {
            let found = io.data_after(file, pos).await;
            // File systems that do not know call all of it data.
            let right = matches!(found, Ok(Some(at)) if at >= pos && at <= pos.max(9 * page));
            assert!(right, "{}: {found:?} from {pos}", on.name);
        }
        let found = io.data_after(file, 10 * page).await;
        let right = matches!(found, Ok(None) | Ok(Some(_)));
        assert!(right, "{}: {found:?}", on.name);
        assert_eq!(io.data_after(file, end).await, Ok(None), "{}", on.name);
        io.close(file).await;
    });
}

#[test]
fn a_file_system_is_synced_or_it_is_said_that_it_is_not() {
    on_all(|on| async move {
        let (io, name) = (&on.io, on.name);
        let synced = io.sync_file_system(&on.directory).await;
        let right = matches!(synced, Ok(()) | Err(Errno(libc::EOPNOTSUPP)));
        assert!(right, "{name}: {synced:?}");
        let nowhere = io.sync_file_system(&on.directory.join("none")).await;
        assert_eq!(nowhere, Err(Errno(libc::ENOENT)), "{name}");
        // FUSE's, the kernel's own, and others say that all is well, and do nothing.
        if name != "sim" {
            let other = io.sync_file_system(Path::new("/proc")).await;
            assert_eq!(other, Err(Errno(libc::EOPNOTSUPP)), "{name}");
        }
    });
}

#[test]
fn direct_files_want_alignment() {
    on_all(|on| async move {
        let io = &on.io;
        let direct = OpenMode {
            direct: true,
            ..WRITE
        };
        let file = io
            .open(&on.directory.join("d"), direct)
            .await
            .expect("open");
        let block = io.pool().take(4 * PAGE);
        // SAFETY: nobody else holds the block.
        unsafe { block.bytes_mut(0, 4 * PAGE) }.copy_from_slice(&pattern(4 * PAGE));
        let part = |start, len| Parts::from_iter([Part::block(&block, start, len)]);
        io.write(file, 0, part(0, 4 * PAGE), true)
            .await
            .expect("aligned");
        let einval = Err(Errno(libc::EINVAL));
        assert_eq!(io.write(file, 100, part(0, PAGE), false).await, einval);
        assert_eq!(io.write(file, 0, part(0, 100), false).await, einval);
        assert_eq!(io.write(file, 0, part(1, PAGE), false).await, einval);
        let into = io.pool().take(8 * PAGE);
        let (got, into) = io.read(file, 0, into, 0, 8 * PAGE).await;
        assert_eq!(got, Ok(4 * PAGE));
        assert!(into.bytes(0, 4 * PAGE) == block.bytes(0, 4 * PAGE));
        let (got, _) = io.read(file, 100, into, 0, PAGE).await;
        assert_eq!(got, Err(Errno(libc::EINVAL)));
        io.close(file).await;
    });
}

#[test]
fn names_are_made_listed_renamed_and_removed() {
    on_all(|on| async move {
        let (io, top) = (&on.io, on.directory.clone());
        let at = |name: &str| top.join(name);
        let error = |number| Err::<(), _>(Errno(number));
        let open = async |name: &str, mode| io.open(&at(name), mode).await.map(drop);
        assert_eq!(open("none", OpenMode::default()).await, error(libc::ENOENT));
        assert_eq!(open("none/file", WRITE).await, error(libc::ENOENT));
        io.make_dir(&at("sub")).await.expect("mkdir");
        io.make_dir(&at("sub"))
            .await
            .expect("an existing one is fine");
        let path = std::ffi::CString::new(at("sub").to_str().unwrap()).unwrap();
        let again = io.submit(Op::MakeDir { path }).await.result.map(drop);
        assert_eq!(again, error(libc::EEXIST));
        assert_eq!(open("sub", WRITE).await, error(libc::EISDIR));
        io.replace_file(&at("sub/one"), b"1".to_vec())
            .await
            .expect("replace");
        io.replace_file(&at("two"), b"22".to_vec())
            .await
            .expect("replace");
        io.replace_file(&at("two"), b"222".to_vec())
            .await
            .expect("replace");
        assert_eq!(open("two/x", WRITE).await, error(libc::ENOTDIR));
        assert_eq!(io.list(&top).await.unwrap(), ["sub", "two"]);
        assert_eq!(io.list(&at("two")).await.map(drop), error(libc::ENOTDIR));
        assert_eq!(io.remove_dir(&at("sub")).await, error(libc::ENOTEMPTY));
        assert_eq!(io.remove_dir(&at("two")).await, error(libc::ENOTDIR));
        assert_eq!(io.remove(&at("sub")).await, error(libc::EISDIR));
        assert_eq!(io.rename(&at("none"), &at("x")).await, error(libc::ENOENT));
        assert_eq!(io.rename(&at("two"), &at("sub")).await, error(libc::EISDIR));
        assert_eq!(
            io.rename(&at("sub"), &at("two")).await,
            error(libc::ENOTDIR)
        );
        assert_eq!(
            io.rename(&at("sub"), &at("sub/in")).await,
            error(libc::EINVAL)
        );
        io.rename(&at("two"), &at("sub/one"))
            .await
            .expect("replaces");
        assert_eq!(io.list(&top).await.unwrap(), ["sub"]);
        assert_eq!(contents(io, &at("sub/one")).await, b"222");

        // An open file outlives its name.
        let file = io.open(&at("sub/one"), WRITE).await.expect("open");
        io.remove(&at("sub/one")).await.expect("remove");
        assert_eq!(io.remove(&at("sub/one")).await, error(libc::ENOENT));
        assert_eq!(io.size(file).await, Ok(3));
        io.close(file).await;
        io.remove_dir(&at("sub")).await.expect("rmdir");
        io.sync_directory(&top).await.expect("sync");
        assert_eq!(io.list(&top).await.unwrap(), [""; 0]);
        assert_eq!(io.list(&at("sub")).await.map(drop), error(libc::ENOENT));
    });
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    on_all(|on| async move {
        let (io, at) = (&on.io, on.directory.join("r"));
        let file = io.open(&at, WRITE).await.expect("open");
        io.close(file).await;
        let file = io.open(&at, OpenMode::default()).await.expect("open");
        let written = io.write(file, 0, owned(b"x"), false).await;
        assert_eq!(written, Err(Errno(libc::EBADF)));
        assert_eq!(io.truncate(file, 1).await, Err(Errno(libc::EINVAL)));
        assert_eq!(io.allocate(file, 0, 1).await, Err(Errno(libc::EBADF)));
        io.close(file).await;
    });
}

#[test]
fn writes_through_the_page_cache_in_every_way() {
    on_all(|on| async move {
        let (io, at) = (&on.io, on.directory.join("w"));
        let file = io.open(&at, WRITE).await.expect("open");
        let bytes = pattern(40_000);
        for (number, piece) in bytes.chunks(10_000).enumerate() {
            let pos = number as u64 * 10_000;
            let uncached = number % 2 == 1;
            let written = match number / 2 {
                0 => io.write_now(file, pos, owned(piece), uncached).await,
                _ => io.write_through(file, pos, owned(piece), uncached).await,
            };
            match written {
                // Before Linux 6.14, and where the file system has no such writes.
                Err(Errno(libc::EOPNOTSUPP)) if uncached => {
                    io.write(file, pos, owned(piece), true)
                        .await
                        .expect("plain");
                }
                written => written.expect("written"),
            }
        }
        io.close(file).await;
        assert!(contents(io, &at).await == bytes, "{}", on.name);
    });
}

#[test]
fn every_write_strategy_is_tried_out_without_a_trace() {
    on_all(|on| async move {
        for strategy in WriteStrategy::ALL {
            for dsync in [false, true] {
                match strategy.try_out(&on.io, &on.directory, dsync).await {
                    Ok(()) | Err(Errno(libc::EOPNOTSUPP)) => {}
                    Err(errno) => panic!("{strategy:?}: {errno}"),
                }
            }
        }
        assert_eq!(on.io.list(&on.directory).await.unwrap(), [""; 0]);
    });
}

#[test]
fn a_handle_that_is_closed_stays_for_the_operations_on_it() {
    on_all(|on| async move {
        let io = &on.io;
        let mut kept = Vec::new();
        for number in 0..20u8 {
            let at = on.directory.join(number.to_string());
            let file = io.open(&at, WRITE).await.expect("open");
            let bytes = vec![number; 50_000];
            let write = io.submit(Op::Write {
                file,
                pos: 0,
                parts: owned(&bytes),
                dsync: true,
                cache: Cache::AsOpened,
            });
            drop(io.submit(Op::Close { handle: file }));
            // Mostly under the same number.
            let other = io.open(&on.directory.join("other"), WRITE).await;
            kept.push((at, bytes, write, other.expect("open")));
        }
        for (at, bytes, write, other) in kept {
            assert_eq!(write.await.result, Ok(bytes.len() as u32));
            assert!(contents(io, &at).await == bytes);
            assert_eq!(io.size(other).await, Ok(0), "nothing is written elsewhere");
            io.close(other).await;
        }
    });
}

#[test]
fn many_writes_at_once_each_land_where_they_should() {
    const LEN: usize = 3_000;
    on_all(|on| async move {
        let (io, at) = (&on.io, on.directory.join("m"));
        let file = io.open(&at, WRITE).await.expect("open");
        let bytes = pattern(200 * LEN);
        let writes: Vec<_> = bytes
            .chunks(LEN)
            .enumerate()
            .map(|(number, piece)| {
                io.submit(Op::Write {
                    file,
                    pos: (number * LEN) as u64,
                    parts: owned(piece),
                    dsync: number % 50 == 0,
                    cache: Cache::AsOpened,
                })
            })
            .collect();
        for write in writes {
            assert_eq!(write.await.result, Ok(LEN as u32));
        }
        io.data_sync(file).await.expect("durable");
        io.close(file).await;
        assert!(contents(io, &at).await == bytes);
    });
}
