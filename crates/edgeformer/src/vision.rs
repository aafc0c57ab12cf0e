//! Images: reading, preparing as the model was trained, naming what is on them.

use std::path::Path;

use edgeformer_models::preprocessor::{Preprocessor, Resample, Resize};
use image::imageops::FilterType;
use image::{ImageReader, Limits, RgbImage};

use crate::classify::{Class, likeliest};
use crate::{Engine, Error, Result};

/// The largest width and height of an image, so that a small file cannot ask for all memory.
const MAX_SIDE: u32 = 16_384;

/// Bytes that decoding an image may take.
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// An image, as read from a file.
#[derive(Debug, Clone)]
pub struct Image(RgbImage);

/// Reads a JPEG or PNG file.
///
/// # Errors
/// If it cannot be read or is damaged or too large.
pub fn load_image(path: &Path) -> Result<Image> {
    let problem = |error: &dyn std::fmt::Display| Error::Image {
        path: path.into(),
        problem: error.to_string(),
    };
    let mut reader = ImageReader::open(path).map_err(|error| problem(&error))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    // The content decides, not the file's name.
    let reader = reader.with_guessed_format().map_err(|error| problem(&error))?;
    Ok(Image(reader.decode().map_err(|error| problem(&error))?.to_rgb8()))
}

impl Image {
    /// It as a model takes it, `[3, height, width]`.
    pub fn prepared(&self, preprocessor: &Preprocessor) -> Vec<f32> {
        prepare(&self.0, preprocessor)
    }
}

impl Engine {
    /// The likeliest `top` classes of an image, the likeliest first.
    ///
    /// # Errors
    /// If the model classifies no images.
    pub fn classify(&self, image: &Image, top: usize) -> Result<Vec<Class>> {
        let no_classifier = || {
            Error::Request(format!("a {} model classifies no images: use a vit", self.graph().name))
        };
        let preprocessor = self.file().preprocessor.as_ref().ok_or_else(no_classifier)?;
        let scores = self.evaluate_pixels(prepare(&image.0, preprocessor))?;
        Ok(likeliest(scores.rows().row(0), self.labels(), top))
    }
}

/// Resizes, crops, rescales and normalises: `[3, height, width]`.
fn prepare(image: &RgbImage, preprocessor: &Preprocessor) -> Vec<f32> {
    let mut image = image.clone();
    if let Some(resize) = preprocessor.resize {
        let [height, width] = target_size(resize, [image.height(), image.width()]);
        image = image::imageops::resize(&image, width, height, filter(preprocessor.resample));
    }
    if let Some([height, width]) = preprocessor.crop {
        image = center_crop(&image, height, width);
    }
    let channels = 0..3usize;
    let values = channels.flat_map(|channel| {
        let (mean, std) = (preprocessor.mean[channel], preprocessor.std[channel]);
        let scale = preprocessor.rescale;
        image.pixels().map(move |pixel| (f32::from(pixel.0[channel]) * scale - mean) / std)
    });
    values.collect()
}

/// `[height, width]` after resizing.
fn target_size(resize: Resize, [height, width]: [u32; 2]) -> [u32; 2] {
    match resize {
        Resize::Exact { height, width } => [height, width],
        Resize::ShortestEdge(edge) => {
            let other = |long: u32, short: u32| {
                (u64::from(edge) * u64::from(long) / u64::from(short.max(1))) as u32
            };
            if height <= width {
                [edge, other(width, height)]
            } else {
                [other(height, width), edge]
            }
        }
    }
}

fn filter(resample: Resample) -> FilterType {
    match resample {
        Resample::Nearest => FilterType::Nearest,
        Resample::Bilinear => FilterType::Triangle,
        Resample::Bicubic => FilterType::CatmullRom,
        Resample::Lanczos => FilterType::Lanczos3,
    }
}

/// The middle of an image, black where it is too small.
fn center_crop(image: &RgbImage, height: u32, width: u32) -> RgbImage {
    let from = |have: u32, want: u32| (i64::from(have) - i64::from(want)).div_euclid(2);
    let (top, left) = (from(image.height(), height), from(image.width(), width));
    RgbImage::from_fn(width, height, |x, y| {
        let source =
            u32::try_from(i64::from(x) + left).ok().zip(u32::try_from(i64::from(y) + top).ok());
        let pixel = source.and_then(|(x, y)| image.get_pixel_checked(x, y));
        pixel.copied().unwrap_or(image::Rgb([0; 3]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_edge_keeps_the_proportions() {
        assert_eq!(target_size(Resize::ShortestEdge(100), [200, 300]), [100, 150]);
        assert_eq!(target_size(Resize::ShortestEdge(100), [301, 200]), [150, 100]);
        assert_eq!(target_size(Resize::Exact { height: 7, width: 9 }, [200, 300]), [7, 9]);
    }

    #[test]
    fn crops_take_the_middle_and_pad_what_is_missing() {
        let image = RgbImage::from_fn(4, 4, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let middle = center_crop(&image, 2, 2);
        assert_eq!(middle.get_pixel(0, 0).0, [1, 1, 9]);
        let padded = center_crop(&image, 6, 6);
        assert_eq!(padded.get_pixel(0, 0).0, [0, 0, 0]);
        assert_eq!(padded.get_pixel(1, 1).0, [0, 0, 9]);
    }
}
