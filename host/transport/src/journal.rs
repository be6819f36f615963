//! Who was contacted: the record that provenance, `--json` and `demo` show.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fetchhost_policy::{CredentialName, Method, Origin};

/// One request that left this process.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Who received it.
    pub origin: Origin,
    /// Its method.
    pub method: Method,
    /// Its URL, without query and userinfo.
    pub url: String,
    /// The credential that went with it.
    pub credential: Option<CredentialName>,
    /// The name of the header that the credential went in.
    pub header_name: Option<String>,
    /// The client certificate that the connection showed to whoever asked for one.
    pub certificate: Option<CredentialName>,
    /// The status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// The origin that redirected here.
    pub redirected_from: Option<Origin>,
}

/// The contacts of one client, in the order of sending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Contact>>>);

impl Journal {
    /// Adds a contact and returns its number.
    pub(crate) fn open(&self, contact: Contact) -> usize {
        let mut contacts = self.lock();
        contacts.push(contact);
        contacts.len() - 1
    }

    /// Notes the status that contact `number` was answered with.
    pub(crate) fn answered(&self, number: usize, status: u16) {
        if let Some(contact) = self.lock().get_mut(number) {
            contact.status = Some(status);
        }
    }

    pub(crate) fn contacts(&self) -> Vec<Contact> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Contact>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
