//! One file for each verb.

pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod df;
pub(crate) mod doctor;
pub(crate) mod expire;
pub(crate) mod export;
pub(crate) mod fsck;
pub(crate) mod get;
pub(crate) mod grow;
pub(crate) mod head;
pub(crate) mod leases;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod mkfs;
pub(crate) mod put;
pub(crate) mod retain;
pub(crate) mod rm;
pub(crate) mod schema;
pub(crate) mod stat;
pub(crate) mod top;
pub(crate) mod verify;
pub(crate) mod versions;
pub(crate) mod watch;
