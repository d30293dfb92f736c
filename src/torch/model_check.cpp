#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/convert.hpp>
#include <src/torch/difference.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model_check.hpp>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::string all = "[";
  for (const std::int64_t size : tensor.sizes()) {
    if (all.size() > 1) all.append(", ");
    all.append(std::to_string(size));
  }
  return all.append("]");
}

Columns row_of(const Columns& columns, std::int64_t row) {
  Columns part;
  for (const at::Tensor& column : columns) part.push_back(column.narrow(0, row, 1));
  return part;
}

Columns reversed(const Columns& columns) {
  Columns other;
  for (const at::Tensor& column : columns) other.push_back(column.flip(0));
  return other;
}

class Trial {
 public:
  Trial(Call& call, std::span<const TensorSpec> inputs, const FunctionOptions& options)
      : call_(call), inputs_(inputs), options_(options) {}

  bool writes_inputs() const noexcept { return writes_inputs_; }
  const std::vector<std::string>& names() const noexcept { return names_; }

  /// The first run of all: names the outputs.
  Result<void> bind(const Columns& rows) {
    const Columns copies = copied(rows);
    try {
      names_ = call_.bind_outputs(copies, options_.outputs);
    } catch (...) {
      return of_rows(rows);
    }
    return {};
  }

  /// The outputs for `rows`, each of which must have as many.
  Result<Tensors> run(const Columns& rows) { return run(call_, rows); }
  Result<Tensors> run(const Call& call, const Columns& rows) {
    const Columns copies = copied(rows);
    Tensors outputs;
    try {
      call(copies, outputs);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const at::Tensor& before = rows[i];
        writes_inputs_ = writes_inputs_ || !same_bytes(before, copies[i]);
      }
      for (at::Tensor& output : outputs) output = output.clone();
    } catch (...) {
      return of_rows(rows);
    }
    const std::int64_t count = rows.front().size(0);
    const std::size_t wanted = names_.size() * (gives_rows() ? static_cast<std::size_t>(count) : 1);
    if (outputs.size() != wanted) {
      return refused(text({"gives ", std::to_string(outputs.size()), " outputs for some rows and ",
                           std::to_string(wanted), " for others"}));
    }
    if (gives_rows()) return outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const at::Tensor& output = outputs[i];
      if (output.dim() > 0 && output.size(0) == count) continue;
      return refused(
          text({"does not keep the row count: ", std::to_string(count), " rows gave ", quoted(i),
                " ", shape_of(output), ", expected [", std::to_string(count), ", ...]"}));
    }
    return outputs;
  }

  /// The same of the model as it was loaded, whose outputs are found here.
  Result<Tensors> run_training(Call& as_loaded, const Columns& rows) {
    try {
      as_loaded.bind_outputs(copied(rows), options_.outputs);
    } catch (...) {
      return of_rows(rows);
    }
    return run(as_loaded, rows);
  }

  /// Ok when all outputs agree; else where they do not: `what` says of which two runs they are.
  Result<void> same(const Tensors& got, const Tensors& wanted, std::string_view what,
                    std::string_view got_when, std::string_view wanted_when) const {
    const auto found = difference(got, wanted, options_.tolerance);
    if (!found.has_value()) return {};
    return refused(text({what, what.empty() ? "" : ": ", quoted(output_at(found->tensor, wanted)),
                         " ", found->verb, " ", found->got, " ", got_when, " and ", found->wanted,
                         " ", wanted_when}));
  }

  /// Whether there is a tensor for each row of each output, in the place of one for all.
  bool gives_rows() const noexcept { return call_.gives_rows(); }

  /// What is answered to one row, of what is answered to `count`.
  Tensors answer_of(const Tensors& answers, std::int64_t row, std::int64_t count) const {
    Tensors part;
    if (!gives_rows()) {
      for (const at::Tensor& output : answers) part.push_back(output.narrow(0, row, 1));
    } else {
      for (std::size_t i = 0; i < names_.size(); ++i) {
        part.push_back(
            answers[i * static_cast<std::size_t>(count) + static_cast<std::size_t>(row)]);
      }
    }
    return part;
  }

  /// The answers to as many rows, of those to the rows in reverse order.
  Tensors backward(const Tensors& answers, std::int64_t count) const {
    Tensors other;
    if (!gives_rows()) {
      for (const at::Tensor& output : answers) other.push_back(output.flip(0));
    } else {
      for (auto of = answers.begin(); of != answers.end(); of += count) {
        other.append(std::make_reverse_iterator(of + count), std::make_reverse_iterator(of));
      }
    }
    return other;
  }

  std::string quoted(std::size_t output) const { return text({"output \"", names_[output], "\""}); }

 private:
  std::size_t output_at(std::size_t tensor, const Tensors& answers) const noexcept {
    return tensor * names_.size() / answers.size();
  }

  static Columns copied(const Columns& rows) {
    Columns copies;
    for (const at::Tensor& column : rows) {
      copies.push_back(column.clone(at::MemoryFormat::Contiguous));
    }
    return copies;
  }

  static bool same_bytes(const at::Tensor& before, const at::Tensor& after) {
    return mix(0, before) == mix(0, after);
  }

  /// The exception being handled, with the rows that brought it about.
  Error of_rows(const Columns& rows) const {
    Error error = caught(Status::failed_precondition);
    std::string shapes;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      shapes.append(i == 0 ? "" : ", ").append(inputs_[i].name).append(" ");
      shapes.append(to_string(inputs_[i].dtype)).append(" ").append(shape_of(rows[i]));
    }
    error.detail = text({"failed on sample rows ", shapes, ": ", error.detail});
    return error;
  }

  Call& call_;
  std::span<const TensorSpec> inputs_;
  const FunctionOptions& options_;
  std::vector<std::string> names_;
  bool writes_inputs_ = false;
};

Result<void> check_training(Trial& trial, Call* as_loaded, const Columns& samples,
                            const Tensors& answers) {
  if (as_loaded == nullptr) return {};
  constexpr std::string_view advice =
      "it was saved in training mode, as with batch normalisation or dropout, and answers "
      "otherwise after eval(): call eval() before saving it";
  const Result<Tensors> training = trial.run_training(*as_loaded, samples);
  Result<void> same = training.has_value()
                          ? trial.same(*training, answers, "", "in training mode", "after eval()")
                          : Result<void>(training.error());
  if (same.has_value()) return {};
  return Error(same.status(), text({advice, " (", same.error().detail, ")"}));
}

Result<void> check_neighbours(Trial& trial, const Columns& samples, const Tensors& together) {
  constexpr std::string_view what = "its rows depend on each other";
  const std::int64_t count = samples.front().size(0);
  const std::string among = "among " + std::to_string(count) + " rows";
  for (std::int64_t row = 0; row < count; ++row) {
    GALLEY_TRY(const Tensors alone, trial.run(row_of(samples, row)));
    GALLEY_TRY(trial.same(alone, trial.answer_of(together, row, count), what, "alone", among));
  }
  GALLEY_TRY(const Tensors backward, trial.run(reversed(samples)));
  return trial.same(trial.backward(backward, count), together, what, "in reverse order",
                    "in order");
}

/// The outputs' signature: as declared, else as found; an extent is free where `larger` differs.
Result<std::vector<TensorSpec>> outputs_of(const Trial& trial, const Tensors& answers,
                                           const std::optional<Tensors>& larger, bool has_free,
                                           std::span<const TensorSpec> declared) {
  std::vector<TensorSpec> outputs;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Result<Tensor> block = from_torch(answers[i]);
    if (!block.has_value()) return refused(text({trial.quoted(i), ": ", block.error().detail}));
    if (!declared.empty()) {
      const Result<void> fits = declared[i].check_block(*block, "output");
      if (!fits.has_value()) return refused(fits.error().detail);
      outputs.push_back(declared[i]);
      continue;
    }
    std::vector<std::int64_t> extents(block->shape().extents().begin() + 1,
                                      block->shape().extents().end());
    for (std::size_t d = 0; d < extents.size() && has_free; ++d) {
      const auto dim = static_cast<std::int64_t>(d + 1);
      const bool same = larger.has_value() && (*larger)[i].dim() == answers[i].dim() &&
                        (*larger)[i].size(dim) == extents[d];
      if (!same) extents[d] = any;
    }
    TensorSpec spec;
    spec.name = trial.names()[i];
    spec.dtype = block->dtype();
    GALLEY_TRY(spec.shape, Shape::of(extents));
    outputs.push_back(std::move(spec));
  }
  return outputs;
}

/// `and_more` is what else is known.
Error changes_itself(std::string_view and_more) {
  return refused(
      text({"changes its own state: an attribute is not what it was before a call; of a "
            "TorchScript module, options.state keeps one for each sequence",
            and_more.empty() ? "" : "; ", and_more}));
}

/// What rows of one output have in common: an extent is free where they differ, and so is the
/// first, which is how many things there are in a row.
Result<TensorSpec> spec_of_rows(const std::string& name, std::span<const Tensor> rows) {
  const auto first = rows.front().shape().extents();
  std::vector<std::int64_t> extents(first.begin(), first.end());
  if (!extents.empty()) extents.front() = any;
  for (const Tensor& row : rows) {
    const auto got = row.shape().extents();
    if (row.dtype() != rows.front().dtype() || got.size() != extents.size()) {
      return refused(text({"output \"", name, "\" is ", to_string(rows.front()), " in one row and ",
                           to_string(row), " in another"}));
    }
    for (std::size_t d = 0; d < extents.size(); ++d) {
      if (extents[d] != got[d]) extents[d] = any;
    }
  }
  TensorSpec spec{.name = name, .dtype = rows.front().dtype()};
  GALLEY_TRY(spec.shape, Shape::of(extents));
  return spec;
}

/// The signature of outputs that have a tensor for each row.
Result<std::vector<TensorSpec>> row_outputs_of(const Trial& trial, const Tensors& answers,
                                               std::span<const TensorSpec> declared) {
  std::vector<TensorSpec> outputs;
  const std::size_t count = answers.size() / trial.names().size();
  for (std::size_t i = 0; i < trial.names().size(); ++i) {
    std::vector<Tensor> rows;
    for (std::size_t row = 0; row < count; ++row) {
      Result<Tensor> one = from_torch(answers[i * count + row]);
      if (!one.has_value()) return refused(text({trial.quoted(i), ": ", one.error().detail}));
      if (!declared.empty()) {
        const Result<void> fits = declared[i].check(*one, "output");
        if (!fits.has_value()) return refused(fits.error().detail);
      }
      rows.push_back(*std::move(one));
    }
    TensorSpec spec;
    if (declared.empty()) {
      GALLEY_TRY(spec, spec_of_rows(trial.names()[i], rows));
    } else {
      spec = declared[i];
    }
    outputs.push_back(std::move(spec));
  }
  return outputs;
}

}  // namespace

Result<CheckedModel> check_model(Call& call, Call* as_loaded, std::span<const TensorSpec> inputs,
                                 const Columns& samples, const FunctionOptions& options,
                                 at::Device device) {
  Trial trial(call, inputs, options);
  const std::uint64_t before = call.fingerprint();
  if (const Result<void> bound = trial.bind(samples); !bound.has_value()) {
    // As it does where its state is that of one row.
    if (call.fingerprint() != before) return changes_itself(bound.error().detail);
    return bound.error();
  }
  if (trial.names().empty()) return refused("gives no tensor");
  GALLEY_TRY(const Tensors together, trial.run(samples));
  GALLEY_TRY(check_training(trial, as_loaded, samples, together));
  GALLEY_TRY(const Tensors again, trial.run(samples));
  if (call.fingerprint() != before) {
    return changes_itself("");
  }
  GALLEY_TRY(trial.same(again, together, "equal rows give different answers", "the second time",
                        "the first time"));
  GALLEY_TRY(check_neighbours(trial, samples, together));

  bool has_free = false;
  for (const TensorSpec& spec : inputs) has_free = has_free || !spec.shape.is_fixed();
  std::optional<Tensors> larger;
  if (has_free && options.outputs.empty()) {
    Result<Tensors> found = trial.run(made_samples(inputs, options, 2, device));
    if (found.has_value()) larger = *std::move(found);
  }
  CheckedModel checked;
  GALLEY_TRY(checked.outputs, trial.gives_rows()
                                  ? row_outputs_of(trial, together, options.outputs)
                                  : outputs_of(trial, together, larger, has_free, options.outputs));
  checked.writes_inputs = trial.writes_inputs();
  return checked;
}

}  // namespace galley::inline v1::detail
