//! The frames of an agent as a schema.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::TableType;
use datafusion_session::{SchemaProvider, TableProvider};
use farrow_client::{Client, ClientError, Reason};

use crate::table::FrameTable;

/// The frames below a prefix, each a table by the rest of its name: with the prefix `sales`, `sales/orders` is the table
/// `orders`, and its version 7 `"orders@7"`. A name with anything but lower-case letters,
/// digits and underlines is quoted in SQL.
///
/// A table is the latest version at the time when a statement is planned, got anew for each, one after another:
/// who needs the tables of a statement as of one moment makes them of a [`Client::snapshot`]. The list of names, which
/// only `SHOW TABLES` and `information_schema` ask for, is as old as the last [`refresh`](Self::refresh), as DataFusion
/// does not wait for it: a frame that was published since is found by its name all the same.
#[derive(Debug)]
pub struct FrameSchema {
    client: Client,
    /// Empty, or with `/` at its end.
    prefix: String,
    names: RwLock<Vec<String>>,
}

impl FrameSchema {
    /// The schema, and the names that are there now.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub async fn open(client: Client, prefix: &str) -> Result<Self, ClientError> {
        let mut prefix = prefix.to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let schema = Self { client, prefix, names: RwLock::default() };
        schema.refresh().await?;
        Ok(schema)
    }

    /// Asks for the names that are there now.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        let frames = self.client.list(&self.prefix).await?;
        let names =
            frames.iter().filter_map(|frame| frame.name.strip_prefix(&self.prefix)).map(str::to_owned);
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names.collect();
        Ok(())
    }
}

#[async_trait]
impl SchemaProvider for FrameSchema {
    fn table_names(&self) -> Vec<String> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.client.locate(&format!("{}{name}", self.prefix)).await {
            Ok(located) => Ok(Some(Arc::new(FrameTable::of(located.into())?))),
            // An impossible name is the name of no table.
            Err(error) if matches!(error.reason(), Some(Reason::NotFound | Reason::InvalidName)) => Ok(None),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    /// Without getting the frame.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.names.read().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == name)
    }
}
