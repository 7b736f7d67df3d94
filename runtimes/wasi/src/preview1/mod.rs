#![doc = include_str!("functions.md")]

mod clock;
mod directory;
mod fd;
mod file;
mod filestat;
mod path;
mod path_open;
mod poll;
mod preopen;
mod process;
mod random;
mod socket;
mod stream;
pub(crate) mod table;

pub use clock::{clock_res_get, clock_time_get};
pub use directory::fd_readdir;
pub use fd::{
    fd_close, fd_datasync, fd_fdstat_get, fd_fdstat_set_flags, fd_fdstat_set_rights,
    fd_filestat_get, fd_renumber, fd_sync,
};
pub use file::{
    fd_advise, fd_allocate, fd_filestat_set_size, fd_filestat_set_times, fd_pread, fd_pwrite,
    fd_seek, fd_tell,
};
pub use path::{
    path_create_directory, path_filestat_get, path_filestat_set_times, path_link, path_readlink,
    path_remove_directory, path_rename, path_symlink, path_unlink_file,
};
pub use path_open::path_open;
pub use poll::poll_oneoff;
pub use preopen::{fd_prestat_dir_name, fd_prestat_get};
pub use process::{
    args_get, args_sizes_get, environ_get, environ_sizes_get, proc_exit, proc_raise, sched_yield,
};
pub use random::random_get;
pub use socket::{sock_accept, sock_recv, sock_send, sock_shutdown};
pub use stream::{fd_read, fd_write};
