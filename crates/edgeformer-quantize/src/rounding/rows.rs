use edgeformer_core::Format;
use super::grid::Grid;
use super::task::Task;
use super::kquant;
use crate::Result;
pub fn round(weights: &[f32], cols: usize, format: Format, importance: Option<&[f32]>, _threads: usize) -> Result<Vec<u8>> {
    let grid = Grid::of(format).unwrap();
    let mut out = vec![0u8; weights.len()/grid.len*grid.bytes];
    format.quantize(weights, &mut out)?;
    for (i,(values, bytes)) in weights.chunks_exact(grid.len).zip(out.chunks_exact_mut(grid.bytes)).enumerate() {
        let at = i*grid.len % cols;
        let Some(task) = Task::new(values, importance.map(|w| &w[at..at+grid.len])) else { continue };
        let rival = task.reduce(grid.read(bytes));
        let parts = kquant::solve(&grid, &task, Some(&rival));
        grid.write(&task.restore(parts), bytes);
    }
    Ok(out)
}
#[cfg(test)]
mod tests {
    use super::*;
    pub fn normal(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        (0..len).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
    }
    #[test]
    fn bench() {
        let n = 1 << 18;
        let gauss = normal(n, 7);
        let heavy: Vec<f32> = normal(n, 8).iter().zip(normal(n, 9)).map(|(a,b)| a/(b.abs()+0.3)).collect();
        for format in Format::ALL {
            let Some(grid) = Grid::of(format) else { continue };
            let mut line = format!("{:7}", format.name());
            for data in [&gauss, &heavy] {
                let mut theirs = vec![0u8; n/grid.len*grid.bytes];
                let t0 = std::time::Instant::now();
                format.quantize(data, &mut theirs).unwrap();
                let t1 = std::time::Instant::now();
                let ours = round(data, 1024, format, None, 1).unwrap();
                let t2 = std::time::Instant::now();
                let err = |b: &[u8]| { let mut v = vec![0.0; n]; format.dequantize(b, &mut v).unwrap(); v.iter().zip(data.iter()).map(|(a,b)| f64::from(a-b).powi(2)).sum::<f64>() };
                line += &format!("  ratio {:.4} core {:6.1} ours {:6.1} Mw/s", err(&ours)/err(&theirs), n as f64/(t1-t0).as_secs_f64()/1e6, n as f64/(t2-t1).as_secs_f64()/1e6);
            }
            eprintln!("{line}");
        }
    }
}
