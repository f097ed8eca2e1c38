//! LSTM and GRU with ONNX's gates, directions, lengths and layouts.
//!
//! Shapes in layout 0: x `[T, B, I]`, w `[D, G·H, I]`, r `[D, G·H, H]`, b `[D, 2·G·H]`, lengths `[B]`, states `[D, B, H]`,
//! y `[T, D, B, H]`; G is 4 gates (i o f c) or 3 (z r h), D is 1 or 2 directions.

use tch::{Device, Kind, Tensor};

use super::{Call, Outputs, RunError};

type Output = Result<Tensor, RunError>;

/// One direction's weights and initial states.
struct Direction {
    w: Tensor,
    r: Tensor,
    /// Bias of the input side and of the recurrent side, each `[G·H]`.
    bias: (Tensor, Tensor),
    h: Tensor,
    c: Option<Tensor>,
    peephole: Option<Tensor>,
    reverse: bool,
}

/// The operands in layout 0, split by direction.
struct Recurrence {
    x: Tensor,
    directions: Vec<Direction>,
    /// `[T, B, 1]`: whether a step lies within its sequence; `None` when all do.
    alive: Option<Tensor>,
    /// `[T, B]`: for each step the step of the reversed sequence.
    reversed: Option<Tensor>,
    hidden: i64,
    batch_first: bool,
}

impl Recurrence {
    fn of(call: &Call<'_>, gates: i64, has_cell: bool) -> Result<Recurrence, RunError> {
        let batch_first = call.flag("layout");
        let turn =
            |t: &Tensor| -> Output { if batch_first { Ok(t.f_transpose(0, 1)?) } else { Ok(t.shallow_clone()) } };
        let (x, w, r) = (turn(call.input(0)?)?, call.input(1)?, call.input(2)?);
        let (&[steps, batch, _], &[count, rows, hidden]) = (&x.size()[..], &r.size()[..]) else {
            return Err(call.invalid(format!("x {:?}, r {:?}", x.size(), r.size())));
        };
        if rows != gates * hidden {
            return Err(call.invalid(format!("r {:?} has not {gates} gates", r.size())));
        }
        let options = (x.kind(), x.device());
        let state = |slot: usize, d: i64| -> Output {
            match call.optional(slot) {
                Some(t) => Ok(turn(t)?.f_select(0, d)?),
                None => Ok(Tensor::f_zeros([batch, hidden], options)?),
            }
        };
        let direction = call.text("direction");
        let mut directions = Vec::new();
        for d in 0..count {
            let bias = match call.optional(3) {
                Some(b) => {
                    let b = b.f_select(0, d)?;
                    (b.f_narrow(0, 0, rows)?, b.f_narrow(0, rows, rows)?)
                }
                None => (Tensor::f_zeros([rows], options)?, Tensor::f_zeros([rows], options)?),
            };
            directions.push(Direction {
                w: w.f_select(0, d)?,
                r: r.f_select(0, d)?,
                bias,
                h: state(5, d)?,
                c: if has_cell { Some(state(6, d)?) } else { None },
                peephole: match call.optional(7) {
                    Some(p) if has_cell => Some(p.f_select(0, d)?),
                    _ => None,
                },
                reverse: direction == "reverse" || d == 1,
            });
        }
        let (mut alive, mut reversed) = (None, None);
        if let Some(lengths) = call.optional(4) {
            let lengths = lengths.f_to_kind(Kind::Int64)?.f_to_device(x.device())?.f_reshape([1, -1])?;
            let time = Tensor::f_arange(steps, (Kind::Int64, x.device()))?.f_reshape([-1, 1])?;
            let within = time.f_lt_tensor(&lengths)?;
            let mirrored = lengths.f_sub(&time)?.f_sub_scalar(1)?;
            reversed = Some(mirrored.f_where_self(&within, &time.f_expand_as(&within)?)?);
            alive = Some(within.f_unsqueeze(-1)?);
        }
        Ok(Recurrence { x, directions, alive, reversed, hidden, batch_first })
    }

    /// A sequence `[T, B, …]` in reverse, each batch entry within its own length.
    fn mirror(&self, sequence: &Tensor) -> Output {
        match &self.reversed {
            None => Ok(sequence.f_flip([0])?),
            Some(index) => {
                let index = index.f_unsqueeze(-1)?.f_expand_as(sequence)?;
                Ok(sequence.f_gather(0, &index, false)?)
            }
        }
    }

    /// Runs `step(input projection, direction, h, c) -> (h, c)` over time in every direction, and puts the outputs together.
    fn over_time(
        &self,
        step: impl Fn(&Tensor, &Direction, &Tensor, &Option<Tensor>) -> Result<(Tensor, Option<Tensor>), RunError>,
    ) -> Outputs {
        let (mut sequences, mut last, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        for direction in &self.directions {
            let x = if direction.reverse { self.mirror(&self.x)? } else { self.x.shallow_clone() };
            let projected = x.f_linear(&direction.w, Some(&direction.bias.0))?;
            let (mut h, mut c) = (direction.h.shallow_clone(), direction.c.as_ref().map(Tensor::shallow_clone));
            let mut outputs = Vec::new();
            for t in 0..self.x.size()[0] {
                let (next_h, next_c) = step(&projected.f_select(0, t)?, direction, &h, &c)?;
                match &self.alive {
                    None => {
                        outputs.push(next_h.shallow_clone());
                        (h, c) = (next_h, next_c);
                    }
                    Some(alive) => {
                        // Beyond its length a sequence keeps its state and puts out zeros.
                        let alive = alive.f_select(0, t)?;
                        outputs.push(next_h.f_where_self(&alive, &next_h.f_zeros_like()?)?);
                        h = next_h.f_where_self(&alive, &h)?;
                        c = match (next_c, c) {
                            (Some(next), Some(old)) => Some(next.f_where_self(&alive, &old)?),
                            (next, _) => next,
                        };
                    }
                }
            }
            let sequence = if outputs.is_empty() {
                Tensor::f_zeros([0, h.size()[0], self.hidden], (h.kind(), h.device()))?
            } else {
                Tensor::f_stack(&outputs, 0)?
            };
            sequences.push(if direction.reverse { self.mirror(&sequence)? } else { sequence });
            last.push(h);
            cells.extend(c);
        }
        let mut results = vec![Tensor::f_stack(&sequences, 1)?, Tensor::f_stack(&last, 0)?];
        if !cells.is_empty() {
            results.push(Tensor::f_stack(&cells, 0)?);
        }
        self.in_layout(results)
    }

    /// From layout 0 to the layout asked for.
    fn in_layout(&self, results: Vec<Tensor>) -> Outputs {
        if !self.batch_first {
            return Ok(results);
        }
        let turn = |t: &Tensor| -> Output {
            // y [T, D, B, H] becomes [B, T, D, H], states [D, B, H] become [B, D, H].
            Ok(if t.dim() == 4 { t.f_permute([2, 0, 1, 3])? } else { t.f_transpose(0, 1)? })
        };
        results.iter().map(turn).collect()
    }

    /// libtorch's parameters, with the gates in its order.
    fn parameters(&self, order: &[i64]) -> Result<Vec<Tensor>, RunError> {
        let permuted = |t: &Tensor| -> Output {
            let gates: Vec<Tensor> =
                order.iter().map(|g| t.f_narrow(0, g * self.hidden, self.hidden)).collect::<Result<_, _>>()?;
            Ok(Tensor::f_cat(&gates, 0)?)
        };
        let mut parameters = Vec::new();
        for d in &self.directions {
            for t in [&d.w, &d.r, &d.bias.0, &d.bias.1] {
                parameters.push(permuted(t)?);
            }
        }
        Ok(parameters)
    }

    /// Whether libtorch's fused recurrence computes this. On CUDA it would warn about scattered weights.
    fn fused(&self) -> bool {
        self.alive.is_none()
            && self.x.device() == Device::Cpu
            && self.x.numel() > 0
            && self.directions.iter().all(|d| d.peephole.is_none())
    }

    /// The input as the fused recurrence reads it: a single reverse direction is run forwards on the mirrored input.
    fn fused_input(&self) -> Output {
        if self.mirrored() { self.mirror(&self.x) } else { Ok(self.x.shallow_clone()) }
    }

    fn mirrored(&self) -> bool {
        self.directions.len() == 1 && self.directions[0].reverse
    }

    /// The fused recurrence's output `[T, B, D·H]` as ONNX's y `[T, D, B, H]`.
    fn fused_output(&self, y: &Tensor) -> Output {
        let y = if self.mirrored() { self.mirror(y)? } else { y.shallow_clone() };
        let (shape, count) = (y.size(), self.directions.len() as i64);
        Ok(y.f_reshape([shape[0], shape[1], count, self.hidden])?.f_transpose(1, 2)?)
    }

    fn stacked(&self, f: impl Fn(&Direction) -> Tensor) -> Output {
        Ok(Tensor::f_stack(&self.directions.iter().map(f).collect::<Vec<_>>(), 0)?)
    }
}

/// LSTM: y, last h, last c.
pub(super) fn lstm(call: &Call<'_>) -> Outputs {
    let r = Recurrence::of(call, 4, true)?;
    let coupled = call.flag("input_forget");
    if r.fused() && !coupled {
        let h = r.stacked(|d| d.h.shallow_clone())?;
        let c = r.stacked(|d| d.c.as_ref().map_or_else(|| d.h.shallow_clone(), Tensor::shallow_clone))?;
        let parameters = r.parameters(&[0, 2, 3, 1])?;
        let two = r.directions.len() == 2;
        let (y, h, c) = r.fused_input()?.f_lstm(&[h, c], &parameters, true, 1, 0.0, false, two, false)?;
        return r.in_layout(vec![r.fused_output(&y)?, h, c]);
    }
    let n = r.hidden;
    r.over_time(|projected, d, h, c| {
        let c = c.as_ref().ok_or_else(|| call.invalid("no cell state"))?;
        let gates = projected.f_add(&h.f_linear(&d.r, Some(&d.bias.1))?)?;
        let gate = |i: i64| gates.f_narrow(1, i * n, n);
        // Peepholes are in the order i o f.
        let peek = |g: Tensor, i: i64, cell: &Tensor| -> Output {
            match &d.peephole {
                Some(p) => Ok(g.f_add(&p.f_narrow(0, i * n, n)?.f_mul(cell)?)?),
                None => Ok(g),
            }
        };
        let input = peek(gate(0)?, 0, c)?.f_sigmoid()?;
        let forget = if coupled { input.f_neg()?.f_add_scalar(1.0)? } else { peek(gate(2)?, 2, c)?.f_sigmoid()? };
        let cell = forget.f_mul(c)?.f_add(&input.f_mul(&gate(3)?.f_tanh()?)?)?;
        let output = peek(gate(1)?, 1, &cell)?.f_sigmoid()?;
        Ok((output.f_mul(&cell.f_tanh()?)?, Some(cell)))
    })
}

/// GRU: y, last h.
pub(super) fn gru(call: &Call<'_>) -> Outputs {
    let r = Recurrence::of(call, 3, false)?;
    let before = call.flag("linear_before_reset");
    if r.fused() && before {
        let h = r.stacked(|d| d.h.shallow_clone())?;
        let parameters = r.parameters(&[1, 0, 2])?;
        let two = r.directions.len() == 2;
        let (y, h) = r.fused_input()?.f_gru(&h, &parameters, true, 1, 0.0, false, two, false)?;
        return r.in_layout(vec![r.fused_output(&y)?, h]);
    }
    let n = r.hidden;
    r.over_time(|projected, d, h, _| {
        let own = |i: i64| projected.f_narrow(1, i * n, n);
        let back = |state: &Tensor, i: i64, count: i64| -> Output {
            let (w, b) = (d.r.f_narrow(0, i * n, count * n)?, d.bias.1.f_narrow(0, i * n, count * n)?);
            Ok(state.f_linear(&w, Some(&b))?)
        };
        let gates = projected.f_narrow(1, 0, 2 * n)?.f_add(&back(h, 0, 2)?)?.f_sigmoid()?;
        let (update, reset) = (gates.f_narrow(1, 0, n)?, gates.f_narrow(1, n, n)?);
        let recurrent = if before { reset.f_mul(&back(h, 2, 1)?)? } else { back(&reset.f_mul(h)?, 2, 1)? };
        let candidate = own(2)?.f_add(&recurrent)?.f_tanh()?;
        let kept = update.f_mul(h)?;
        Ok((candidate.f_sub(&update.f_mul(&candidate)?)?.f_add(&kept)?, None))
    })
}
