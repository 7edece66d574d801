//! The rules and certificates in force: who may connect, and do what.

use std::sync::Arc;

use crate::config::{Config, Tcp};
use crate::listen::{Tls, TlsFiles};
use crate::rights::{Rights, Rules};
use farrow_region::counted;

/// Rules, tokens and certificates in force.
pub struct Access {
    rights: Rights,
    tls: Option<Arc<Tls>>,
}

impl Access {
    /// Checks the rules, and reads the tokens and certificates that the configuration names.
    ///
    /// # Errors
    /// Everything that is wrong, one text each.
    pub fn load(config: &Config) -> Result<Self, Vec<String>> {
        let rules = Rules::load(&config.rights, &config.tokens);
        let tls = tls_files(&config.tcp).map(|files| Tls::load(&files)).transpose();
        match (rules, tls) {
            (Ok(rules), Ok(tls)) => {
                warn_of_defaults(config);
                Ok(Self { rights: Rights::new(rules), tls: tls.map(Arc::new) })
            }
            (rules, tls) => Err([rules.err(), tls.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// Puts the configuration, and the files that it names, in force as they are now: the rules and tokens for all
    /// requests, certificates for new connections. If anything is wrong, all stays as it was. The address, and whether
    /// there is TLS, do not change without a restart.
    ///
    /// # Errors
    /// Everything that is wrong, one text each.
    pub fn reload(&self, config: &Config) -> Result<(), Vec<String>> {
        let rules = Rules::load(&config.rights, &config.tokens)?;
        match (&self.tls, tls_files(&config.tcp)) {
            (Some(tls), Some(files)) => tls.reload(&files)?,
            (None, None) => {}
            _ => return Err(vec!["[tcp]: TLS is begun and ended by a restart of the agent".to_owned()]),
        }
        self.rights.replace(rules);
        warn_of_defaults(config);
        Ok(())
    }

    /// Returns who may do what.
    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// TLS, if the TCP listener has it.
    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }
}

/// All problems as one error.
pub(crate) fn refused(problems: Vec<String>) -> anyhow::Error {
    match <[String; 1]>::try_from(problems) {
        Ok([problem]) => anyhow::anyhow!(problem),
        Err(problems) => {
            anyhow::anyhow!("{}:\n  {}", counted(problems.len(), "problem"), problems.join("\n  "))
        }
    }
}

/// The files of a TLS listener; `None` for a plain one. What is missing is the configuration's own check to tell.
fn tls_files(tcp: &Tcp) -> Option<TlsFiles> {
    Some(TlsFiles {
        certificate: tcp.certificate.clone()?,
        key: tcp.key.clone()?,
        client_ca: tcp.client_ca.clone(),
    })
}

fn warn_of_defaults(config: &Config) {
    if let Some(address) = config.tcp.listen
        && config.rights.is_empty()
        && !address.ip().to_canonical().is_loopback()
    {
        tracing::warn!(
            %address,
            "no [[rights]] is given: whoever reaches this address may read every frame without token or certificate"
        );
    }
}
