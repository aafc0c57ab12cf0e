//! `preprocessor_config.json`: how an image becomes what a model reads.

use serde_json::Value;

use crate::Result;
use crate::json::Object;

/// Largest height and width that an image is brought to.
const MAX_SIDE: u64 = 1 << 14;

/// The steps from an image to pixel values, in this order: resize, crop the middle, rescale,
/// normalise.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessor {
    /// The size it is resized to.
    pub resize: Option<Resize>,
    /// The filter of resizing.
    pub resample: Resample,
    /// Height and width of the middle that is kept.
    pub crop: Option<[u32; 2]>,
    /// What bytes are multiplied with: as a rule 1/255.
    pub rescale: f32,
    /// Taken from each channel.
    pub mean: Vec<f32>,
    /// What each channel is divided by.
    pub std: Vec<f32>,
}

/// A size to resize to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Height and width, whatever the proportions.
    Exact {
        /// Height.
        height: u32,
        /// Width.
        width: u32,
    },
    /// The shorter edge, keeping the proportions.
    ShortestEdge(u32),
}

/// A filter of resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// The nearest pixel.
    Nearest,
    /// Triangle.
    Bilinear,
    /// Catmull-Rom (Pillow's bicubic, a = -0.5).
    Bicubic,
    /// Lanczos, three lobes.
    Lanczos,
}

/// The filters as messages list them.
pub(crate) const RESAMPLES: &str = "0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic";

impl Resample {
    /// The filter of Pillow's number.
    pub(crate) fn numbered(number: usize) -> Option<Self> {
        [Self::Nearest, Self::Lanczos, Self::Bilinear, Self::Bicubic].get(number).copied()
    }

    /// Pillow's number.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Nearest => 0,
            Self::Lanczos => 1,
            Self::Bilinear => 2,
            Self::Bicubic => 3,
        }
    }
}

impl Preprocessor {
    /// What the file says, for a model that reads `channels` of `size`.
    pub(crate) fn of(config: &Object, channels: usize, size: [usize; 2]) -> Result<Self> {
        let resizes = config.flag_or("do_resize", true)?;
        let crops = config.flag_or("do_center_crop", false)?;
        let crop = if crops { Some(crop_size(config, size)?) } else { None };
        let (mean, std) = normalisation(config, channels)?;
        let preprocessor = Self {
            resize: if resizes { Some(resize(config, size)?) } else { None },
            resample: resample(config)?,
            crop,
            rescale: match config.flag_or("do_rescale", true)? {
                true => config.positive_or("rescale_factor", 1.0 / 255.0)?,
                false => 1.0,
            },
            mean,
            std,
        };
        preprocessor.check_size(config, size)?;
        Ok(preprocessor)
    }

    /// Whether images come out in the model's size.
    fn check_size(&self, config: &Object, [height, width]: [usize; 2]) -> Result<()> {
        let (key, made) = match (self.crop, self.resize) {
            (Some(crop), _) => ("crop_size", crop),
            (None, Some(Resize::Exact { height, width })) => ("size", [height, width]),
            (None, Some(Resize::ShortestEdge(_)) | None) => return Ok(()),
        };
        if made.map(|side| side as usize) == [height, width] {
            return Ok(());
        }
        let problem = format!("makes images of {made:?}, the model reads [{height}, {width}]");
        Err(config.error(key, problem))
    }
}

fn resize(config: &Object, [height, width]: [usize; 2]) -> Result<Resize> {
    match config.value("size") {
        None => Ok(Resize::Exact { height: height as u32, width: width as u32 }),
        Some(Value::Object(sides)) if sides.contains_key("shortest_edge") => {
            if sides.get("longest_edge").is_some_and(|edge| !edge.is_null()) {
                return Err(config.error("size", "bounds the longest edge, which is not done"));
            }
            side(sides.get("shortest_edge"))
                .map(Resize::ShortestEdge)
                .ok_or_else(|| wrong_size(config, "size"))
        }
        Some(value) => {
            let [height, width] = pair(value).ok_or_else(|| wrong_size(config, "size"))?;
            Ok(Resize::Exact { height, width })
        }
    }
}

fn crop_size(config: &Object, size: [usize; 2]) -> Result<[u32; 2]> {
    match config.value("crop_size") {
        None => Ok(size.map(|side| side as u32)),
        Some(value) => pair(value).ok_or_else(|| wrong_size(config, "crop_size")),
    }
}

/// `{"height": 224, "width": 224}`, or one number for both.
fn pair(value: &Value) -> Option<[u32; 2]> {
    match value {
        Value::Object(sides) => Some([side(sides.get("height"))?, side(sides.get("width"))?]),
        value => side(Some(value)).map(|side| [side; 2]),
    }
}

fn side(value: Option<&Value>) -> Option<u32> {
    let side = value?.as_u64().filter(|side| (1..=MAX_SIDE).contains(side))?;
    u32::try_from(side).ok()
}

fn wrong_size(config: &Object, key: &str) -> crate::Error {
    config.error(key, format!("must give height and width, or shortest_edge, 1 to {MAX_SIDE}"))
}

/// Pillow's numbers of filters.
fn resample(config: &Object) -> Result<Resample> {
    let number = config.optional_count("resample")?.unwrap_or(2);
    Resample::numbered(number)
        .ok_or_else(|| config.error("resample", format!("is {number}; known are {RESAMPLES}")))
}

fn normalisation(config: &Object, channels: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    if !config.flag_or("do_normalize", true)? {
        return Ok((vec![0.0; channels], vec![1.0; channels]));
    }
    let channel_values = |key| -> Result<Vec<f32>> {
        let values = config.optional_numbers(key)?.unwrap_or_else(|| vec![0.5; channels]);
        if values.len() == channels {
            return Ok(values);
        }
        let problem = format!("has {} numbers, images have {channels} channels", values.len());
        Err(config.error(key, problem))
    };
    let (mean, std) = (channel_values("image_mean")?, channel_values("image_std")?);
    if std.contains(&0.0) {
        return Err(config.error("image_std", "has a zero, nothing can be divided by it"));
    }
    Ok((mean, std))
}
