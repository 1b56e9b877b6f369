//! Loading the project's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_shared::project::{Place, Project, ProjectError};
use anabranch_shared::view::ViewPlan;

use crate::args::Global;

pub const PROJECT_FILE: &str = "anabranch.toml";

/// A project whose files have all been read and understood.
#[derive(Clone, Debug)]
pub struct LoadedProject {
    pub dir: PathBuf,
    pub project: Project,
    pub views: BTreeMap<String, Arc<ViewPlan>>,
}

impl LoadedProject {
    /// Reads `anabranch.toml` and the views; options on the command line win over the file.
    pub fn load(global: &Global) -> Result<Self, ProjectError> {
        let mut loaded = Self::read(&global.project)?;
        loaded.project.brokers = global.brokers.clone().or(loaded.project.brokers);
        loaded.project.redis = global.redis.clone().or(loaded.project.redis);
        Ok(loaded)
    }

    fn read(dir: &Path) -> Result<Self, ProjectError> {
        let file = dir.join(PROJECT_FILE);
        let name = file.display().to_string();
        let text = read(&file, "run `anabranch init DIR`, or name the project's folder with --project")?;
        let project = Project::parse(&name, &text)?;
        let views = project
            .views
            .keys()
            .map(|view| {
                let file = dir.join("views").join(format!("{view}.sql"));
                let sql =
                    read(&file, "write the view's SELECT into this file, or remove the view from anabranch.toml")?;
                let plan = ViewPlan::parse(&file.display().to_string(), &sql, &project.sources)?;
                Ok((view.clone(), Arc::new(plan)))
            })
            .collect::<Result<_, ProjectError>>()?;
        Ok(Self { dir: dir.to_owned(), project, views })
    }

    /// The folder of archive, batch views, catalog and embedded stores.
    pub fn root(&self) -> PathBuf {
        self.dir.join(&self.project.root)
    }
}

fn read(file: &Path, help: &str) -> Result<String, ProjectError> {
    let place = || Place::start(&file.display().to_string());
    fs::read_to_string(file).map_err(|error| ProjectError::new(place(), error.to_string(), help))
}
