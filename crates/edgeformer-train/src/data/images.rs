//! A folder of images by class: `DIR/CLASS/*.png`.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What file names of images end with.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Images and their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFolder {
    /// Names of the classes, sorted: a class's index is its place here.
    pub classes: Vec<String>,
    /// The images, by class and within it by name.
    pub images: Vec<LabelledImage>,
}

/// An image and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// The file.
    pub path: PathBuf,
    /// The class, as index into [`ImageFolder::classes`].
    pub label: usize,
}

impl ImageFolder {
    /// Lists the JPEG and PNG files of a folder's folders, each of which is a class. Hidden
    /// folders are none; nothing is decoded.
    ///
    /// # Errors
    /// If a folder cannot be read, there is none, or one of them has no image.
    pub fn open(path: &Path) -> Result<Self> {
        let mut folders = list(path)?;
        folders.retain(|folder| folder.is_dir() && !name(folder).starts_with('.'));
        if folders.is_empty() {
            let problem = "there is no folder in it: each class has one, as in DIR/CLASS/a.png";
            return Err(Error::file(path, problem));
        }
        let classes = folders.iter().map(|folder| name(folder)).collect();
        let mut images = Vec::new();
        for (label, folder) in folders.iter().enumerate() {
            let before = images.len();
            let files = list(folder)?.into_iter().filter(|file| is_image(file));
            images.extend(files.map(|path| LabelledImage { path, label }));
            if images.len() == before {
                let problem = "there is no JPEG or PNG file in it: every folder is a class";
                return Err(Error::file(folder, problem));
            }
        }
        Ok(Self { classes, images })
    }
}

/// What a folder holds, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error: std::io::Error| Error::file(folder, error.to_string());
    let entries = std::fs::read_dir(folder).map_err(wrong)?;
    let paths: std::io::Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(wrong)?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = |it: &str| EXTENSIONS.iter().any(|known| it.eq_ignore_ascii_case(known));
    path.is_file() && extension.is_some_and(known)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn classes_and_images_are_sorted() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["zebra/b.PNG", "zebra/a.jpg", "ant/c.jpeg", "ant/notes.txt", ".git/x.png"] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        fs::write(folder.path().join("loose.png"), "").unwrap();
        let found = ImageFolder::open(folder.path()).unwrap();
        assert_eq!(found.classes, ["ant", "zebra"]);
        let images: Vec<(String, usize)> =
            found.images.iter().map(|image| (name(&image.path), image.label)).collect();
        let expected = [("c.jpeg", 0), ("a.jpg", 1), ("b.PNG", 1)];
        assert_eq!(images, expected.map(|(name, label)| (name.to_owned(), label)));
    }

    #[test]
    fn folders_without_images_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = ImageFolder::open(folder.path()).unwrap_err().to_string();
        assert!(told.contains("each class has one"), "{told}");
        fs::create_dir(folder.path().join("empty")).unwrap();
        let told = ImageFolder::open(folder.path()).unwrap_err().to_string();
        assert!(told.contains("empty: there is no JPEG or PNG"), "{told}");
        assert!(ImageFolder::open(&folder.path().join("none")).is_err());
    }
}
