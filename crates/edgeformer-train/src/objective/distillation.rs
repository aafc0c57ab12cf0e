use candle_core::{D, DType, Result, Tensor};

/// The sum over rows that have a target of `temperature² · KL(teacher ‖ student)`, both softened by
/// the temperature; the square keeps gradients as large as those of cross entropy (Hinton, Vinyals,
/// Dean 2015, section 2). Logits are `[rows, classes]`; nothing flows into the teacher's.
///
/// # Errors
/// If candle fails.
pub(crate) fn divergence(
    student: &Tensor,
    teacher: &Tensor,
    targets: &[Option<u32>],
    temperature: f64,
) -> Result<Tensor> {
    let student = log_softmax(&(student.to_dtype(DType::F64)? / temperature)?)?;
    let teacher = log_softmax(&(teacher.to_dtype(DType::F64)?.detach() / temperature)?)?;
    let apart = (teacher.exp()? * (&teacher - student)?)?.sum(D::Minus1)?;
    let counts: Vec<f64> = targets.iter().map(|target| f64::from(target.is_some())).collect();
    let counts = Tensor::from_vec(counts, targets.len(), apart.device())?;
    (apart * counts)?.sum_all()? * (temperature * temperature)
}

fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let all = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    shifted.broadcast_sub(&all)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_gradient_is_the_difference_of_softened_probabilities() {
        let student = Var::new(&[[1f64, 2.0, 0.5]], &Device::Cpu).unwrap();
        let teacher = Tensor::new(&[[0.5f64, 1.0, 3.0]], &Device::Cpu).unwrap();
        let loss = divergence(&student, &teacher, &[Some(0)], 2.0).unwrap();
        let gradient = loss.backward().unwrap().remove(&student).unwrap();
        let softened = |logits: &Tensor| log_softmax(&(logits / 2.0).unwrap()).unwrap().exp();
        let apart = (softened(&student).unwrap() - softened(&teacher).unwrap()).unwrap();
        // d/dz of T² KL is T (p_student - p_teacher).
        let expected = (apart * 2.0).unwrap().to_vec2::<f64>().unwrap().concat();
        let found = gradient.to_vec2::<f64>().unwrap().concat();
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9)
        );
    }

    #[test]
    fn rows_without_a_target_add_nothing() {
        let student = Tensor::new(&[[1f64, 2.0], [0.0, 5.0]], &Device::Cpu).unwrap();
        let teacher = Tensor::new(&[[2f64, 1.0], [5.0, 0.0]], &Device::Cpu).unwrap();
        let of = |targets: &[Option<u32>]| {
            divergence(&student, &teacher, targets, 1.0).unwrap().to_scalar::<f64>().unwrap()
        };
        assert!(
            (of(&[Some(0), Some(0)]) - of(&[Some(0), None]) - of(&[None, Some(1)])).abs() < 1e-12
        );
        assert_eq!(of(&[None, None]), 0.0);
    }
}
