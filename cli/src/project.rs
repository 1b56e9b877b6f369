//! Loading the project's files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_model::project::{Checked, Place, Project, ProjectError, Reference, ReferenceFormat};
use anabranch_model::reference::ReferenceTable;
use anabranch_stores::ReferenceFiles;
use anabranch_stores::reference::read_reference;
use anabranch_view::{ViewPlan, mentions};

use crate::args::Global;

pub const PROJECT_FILE: &str = "anabranch.toml";

/// Views by name.
pub type Views = BTreeMap<String, Arc<ViewPlan>>;

/// A project whose files have all been read and understood.
#[derive(Clone, Debug)]
pub struct LoadedProject {
    pub dir: PathBuf,
    pub project: Project,
    pub views: Views,
}

/// What is wrong with a project.
#[derive(Debug)]
pub struct Mistakes {
    /// Never empty.
    pub told: Vec<ProjectError>,
    /// Views that nobody looked at, because the sources or references that they are over have mistakes.
    pub unchecked: Vec<String>,
}

impl From<ProjectError> for Mistakes {
    fn from(mistake: ProjectError) -> Self {
        Self { told: vec![mistake], unchecked: Vec::new() }
    }
}

impl LoadedProject {
    /// Reads `anabranch.toml`, the views and the references; options on the command line win over the
    /// file.
    pub fn load(global: &Global) -> Result<Self, ProjectError> {
        Self::load_with(global, &read_table)
    }

    /// The same with the mistakes of all files.
    pub fn check(global: &Global) -> Result<Self, Mistakes> {
        Self::load_all(global, &read_table)
    }

    /// The same for commands that go on with generations and make none from references: where one of
    /// these cannot be read, the rows stand in for it that were kept last. So a file that is being
    /// edited does not keep what answers from starting.
    pub fn load_to_go_on(global: &Global) -> Result<Self, ProjectError> {
        Self::load_with(global, &table_or_kept)
    }

    fn load_with(global: &Global, read_table: &ReadTable) -> Result<Self, ProjectError> {
        // Whoever wants to work needs one mistake to begin with; `check` tells all.
        Self::load_all(global, read_table)
            .map_err(|mistakes| mistakes.told.into_iter().next().expect("no failure without a mistake"))
    }

    fn load_all(global: &Global, read_table: &ReadTable) -> Result<Self, Mistakes> {
        let mut loaded = Self::read(&global.project, read_table)?;
        loaded.project.brokers = global.brokers.clone().or(loaded.project.brokers);
        loaded.project.redis = global.redis.clone().or(loaded.project.redis);
        Ok(loaded)
    }

    fn read(dir: &Path, read_table: &ReadTable) -> Result<Self, Mistakes> {
        let file = dir.join(PROJECT_FILE);
        let text = read(&file, "run `anabranch init DIR`, or name the project's folder with --project")?;
        let Checked { project, mut broken, mistakes } = Project::check(&file.display().to_string(), &text);
        let mut mistakes = Mistakes { told: mistakes, unchecked: Vec::new() };
        warn_of_unused(dir, &project);
        let mut references = References::new();
        for (name, reference) in &project.references {
            match read_table(dir, &project, reference) {
                Ok(table) => drop(references.insert(name.clone(), Arc::new(table))),
                Err(mistake) => {
                    mistakes.told.push(mistake);
                    broken.insert(name.clone());
                }
            }
        }
        let mut views = Views::new();
        for view in project.views.keys() {
            match read_view(&view_file(dir, view), &project, &references, &broken) {
                Ok(Some(plan)) => drop(views.insert(view.clone(), Arc::new(plan))),
                Ok(None) => mistakes.unchecked.push(view.clone()),
                Err(told) => mistakes.told.extend(told),
            }
        }
        if mistakes.told.is_empty() { Ok(Self { dir: dir.to_owned(), project, views }) } else { Err(mistakes) }
    }

    /// The views over their references as these are now; their SQL is the one that was loaded.
    pub fn views_now(&self) -> Result<Views, ProjectError> {
        if self.views.values().all(|plan| plan.references.is_empty()) {
            return Ok(self.views.clone());
        }
        let table = |(name, reference): (&String, &Reference)| {
            Ok((name.clone(), Arc::new(read_table(&self.dir, &self.project, reference)?)))
        };
        let references = self.project.references.iter().map(table).collect::<Result<References, ProjectError>>()?;
        let again = |(view, plan): (&String, &Arc<ViewPlan>)| {
            let (file, sql) = (view_file(&self.dir, view).display().to_string(), &plan.definition.sql);
            let plan = ViewPlan::parse_joined(&file, sql, &self.project.sources, &references)?;
            Ok((view.clone(), Arc::new(plan)))
        };
        self.views.iter().map(again).collect()
    }

    /// The folder of archive, batch views, catalog and embedded stores.
    pub fn root(&self) -> PathBuf {
        self.dir.join(&self.project.root)
    }
}

/// A view that nobody has declared computes nothing, which is easily overlooked.
fn warn_of_unused(dir: &Path, project: &Project) {
    for file in fs::read_dir(dir.join("views")).into_iter().flatten().flatten() {
        let path = file.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "sql") && !project.views.contains_key(name) {
            let path = path.display();
            tracing::warn!("{path} is not used: add [views.{name}] to {PROJECT_FILE}, or remove the file");
        }
    }
}

/// The view; none if it is over something that has mistakes itself.
fn read_view(
    file: &Path,
    project: &Project,
    references: &References,
    broken: &BTreeSet<String>,
) -> Result<Option<ViewPlan>, Vec<ProjectError>> {
    let help = "write the view's SELECT into this file, or remove the view from anabranch.toml";
    let sql = read(file, help).map_err(|mistake| vec![mistake])?;
    if broken.iter().any(|name| mentions(&sql, name)) {
        return Ok(None);
    }
    ViewPlan::check(&file.display().to_string(), &sql, &project.sources, references).map(Some)
}

fn view_file(dir: &Path, view: &str) -> PathBuf {
    dir.join("views").join(format!("{view}.sql"))
}

type References = BTreeMap<String, Arc<ReferenceTable>>;
type ReadTable = dyn Fn(&Path, &Project, &Reference) -> Result<ReferenceTable, ProjectError>;

/// The reference's rows as they are now.
fn read_table(dir: &Path, _project: &Project, reference: &Reference) -> Result<ReferenceTable, ProjectError> {
    let path = dir.join(&reference.file);
    match reference.format {
        ReferenceFormat::Delta => read_delta(&path, reference),
        ReferenceFormat::Csv | ReferenceFormat::Parquet => read_reference(&path, reference),
    }
}

/// The same; where they cannot be read, the rows that were kept last.
fn table_or_kept(dir: &Path, project: &Project, reference: &Reference) -> Result<ReferenceTable, ProjectError> {
    read_table(dir, project, reference).or_else(|error| {
        let table = ReferenceFiles::new(&dir.join(&project.root)).newest(reference).ok_or(error.clone())?;
        tracing::warn!(
            "{error}\n  going on with the {} rows of '{}' that were kept last",
            table.pin().rows,
            reference.name
        );
        Ok(table)
    })
}

/// On a thread with a runtime of its own: projects are loaded inside and outside of others.
fn read_delta(folder: &Path, reference: &Reference) -> Result<ReferenceTable, ProjectError> {
    let refuse = |cause: String| {
        let help = "name the folder of a Delta table that has the declared columns";
        ProjectError::new(Place::start(&folder.display().to_string()), cause, help)
    };
    let read = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(anabranch_batch::read_reference(folder, reference)).map_err(|error| error.to_string())
    };
    let ended = std::thread::scope(|scope| scope.spawn(read).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(refuse)
}

fn read(file: &Path, help: &str) -> Result<String, ProjectError> {
    let place = || Place::start(&file.display().to_string());
    fs::read_to_string(file).map_err(|error| ProjectError::new(place(), error.to_string(), help))
}
