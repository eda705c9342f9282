//! The mechanisms that talk to the bus about a partition's log. Each one decides on its calls and takes what comes back;
//! none knows the others: the partition's actor carries from one to the next.

pub(crate) mod append;
pub(crate) mod directory;
pub(crate) mod history_requests;
pub(crate) mod moderate;
pub(crate) mod restore;
pub(crate) mod room_reads;
pub(crate) mod screening;
pub(crate) mod tail;
