// What may be said of a LibTorch model when it is made a servable.
#pragma once

#include <galley/core/device.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/signature.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/time.hpp>
#include <galley/core/tolerance.hpp>
#include <galley/policy/cost_table.hpp>
#include <galley/torch/reduced_forms.hpp>
#include <galley/torch/state.hpp>
#include <galley/torch/threads.hpp>
#include <galley/torch/weights.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace galley::inline v1 {

/// Whether a module's parameters become constants of its graph when it is loaded.
enum class Freeze : std::uint8_t { no, yes };

/// Whether LibTorch's `optimize_for_inference` is applied when a module is loaded. It is no faster
/// on small models and slower on some.
enum class Optimize : std::uint8_t { no, for_inference };

/// Whether LibTorch watches the first calls of a model and compiles it anew after them.
///
/// `off` makes every call after the first as fast as it will ever be; it is chosen for the one
/// model, not through LibTorch's process-wide switch. `as_host` leaves the choice to that switch.
enum class Profiling : std::uint8_t { off, as_host };

/// Rows that stand for those a model will see: each row is one tensor for each input, in order.
using SampleRows = std::vector<std::vector<Tensor>>;

/// What may be said of a C++ function or module on LibTorch tensors.
///
/// The signature is that of a *row*. `inputs` may be left out where `samples` are given: then
/// names, dtypes and shapes are theirs, and an extent in which they differ is free. `outputs` may
/// be left out: then they are found by running rows, at two sizes where an input has free extents.
struct FunctionOptions {
  std::vector<TensorSpec> inputs = {};
  std::vector<TensorSpec> outputs = {};
  /// Rows to check and warm the model with; without them rows are made from `seed`, within each
  /// input's `range` (else -1 to 1; for uint8 0 to 255; for other integers 0 and 1).
  SampleRows samples = {};
  /// The extents that made-up rows have where an input's extent is free, in order; 16 beyond these.
  std::vector<std::int64_t> sample_sizes = {};
  std::uint64_t seed = 1;
  /// How far a row's answer alone may lie from its answer among others.
  Tolerance tolerance = {};
  /// The batch sizes that `prepare` runs, twice each, on every worker.
  std::vector<std::size_t> warm_batches = {1};
  /// What `prepare` asks of each worker.
  ThreadOptions threads = {};
};

/// A form of a TorchScript model: how LibTorch runs it. All are frozen.
enum class ScriptForm : std::uint8_t {
  frozen,                   ///< Parameters are constants.
  optimized,                ///< `optimize_for_inference` too: weights packed for their kernels.
  channels_last,            ///< Images with their channels last.
  optimized_channels_last,  ///< Both.
  convolutions,             ///< Convolutions and what is between them in oneDNN's own layout.
};

/// "frozen", "optimized", "convolutions", …
const char* to_string(ScriptForm form) noexcept;

/// Which forms of a model are tried beside the model as its options say.
///
/// `prepare` makes each, compares its answers on the samples with the model's and times it on one
/// worker at each of `sizes`; from then on each batch is run by the form that is fastest for its
/// size. A form that cannot be made, or whose answers differ by more than the tolerance, is not
/// used, and `describe` says why. Before `prepare` the model runs as its options say. While they
/// are tried each form has memory for weights of its own; those that no batch is run by are let go.
///
/// The fastest form is 4 times as fast as the plain one for batches of a small convolutional
/// network; which it is depends on the size, the model and the machine. Kernels differ in the last
/// digits, and oneDNN's pooling loses NaNs: where rows may have some, put a `guard` in front. For
/// equal answers at every size and in every process, leave `tried` empty or name one in `pinned`.
struct FormOptions {
  std::vector<ScriptForm> tried = {ScriptForm::frozen, ScriptForm::optimized,
                                   ScriptForm::channels_last, ScriptForm::optimized_channels_last,
                                   ScriptForm::convolutions};
  /// AOTInductor packages of the same model, files or folders: each is a form "package FILE" too.
  /// Where a package and the model both name their outputs, these are matched by name.
  std::vector<std::string> packages = {};
  /// Lower precisions, with the error that is allowed them: none unless asked for.
  ReducedForms reduced = {};
  /// By its name in `describe`: this form runs all batches, and nothing is timed.
  std::string pinned = {};
  std::vector<std::size_t> sizes = {1, 2, 4, 8, 16, 32, 64};
  /// Sizes that would take longer than this in all are not timed.
  Duration budget = std::chrono::seconds(2);
};

/// What is known of a servable's forms: `servable.control(path, profile)` fills it in;
/// `save_form_profile` keeps it for the next start.
struct FormProfile {
  struct Form {
    std::string name = {};
    std::string refused = {};  ///< Why it is not used; empty where it may be.
    CostProfile costs = {};
    friend bool operator==(const Form&, const Form&) = default;
  };
  std::vector<Form> forms = {};
  friend bool operator==(const FormProfile&, const FormProfile&) = default;
};

/// Hands a profile to a servable, in the place of timing: `servable.control(path, set)`. What the
/// profile says is refused is not tried.
struct SetFormProfile {
  FormProfile profile = {};
};

/// The value of an argument that is no tensor; nothing is None.
using ArgumentValue =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<bool>,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;

/// What an argument of a method is in every call. The value is to have the argument's type: nothing
/// is converted.
struct BoundArgument {
  std::string name = {};
  ArgumentValue value = {};
};

/// How a batch's rows go into a method, and come out of it.
enum class RowsAs : std::uint8_t {
  batch,  ///< As one tensor [n, *F] for each input and output.
  /// As lists with an element for each row, as detectors of images take and give them: a
  /// `List[Tensor]` argument is one input, whose tensors are the rows', and an answer that is a
  /// list has for each row a tensor, or a tuple or dict of tensors, which need not be of one shape.
  /// Other arguments and answers are as with `batch`. Rows of unequal shape are computed apart:
  /// what a model pads among them would change its answers.
  list,
};

/// What may be said of a TorchScript model. The members that `FunctionOptions` has mean the same.
///
/// Where an input has the name of an argument of the method, all are taken by name, else they come
/// in the method's order. Of an argument that is a tuple or list of tensors, the inputs are
/// "argument.0", "argument.1", …; of a dict, "argument.key". An argument that is no tensor is bound
/// once in `arguments`, or is an input too and given with each row: an int as i64 [], a float as
/// f64 [], a bool as boolean [], a str as the u8 of its bytes, a list as one extent more; rows that
/// have different values are then computed apart. What is neither keeps the method's default.
struct ScriptOptions {
  /// The servable's name; the file's, without its extension, when empty.
  std::string name = {};
  /// What is called: any method that was exported.
  std::string method = "forward";
  std::vector<TensorSpec> inputs = {};
  std::vector<TensorSpec> outputs = {};
  std::vector<BoundArgument> arguments = {};
  RowsAs rows = RowsAs::batch;
  /// For a module that keeps a state within itself: each sequence of rows has its own. It runs as
  /// one form; `forms` are not tried.
  std::optional<ModuleState> state = {};
  Freeze freeze = Freeze::yes;
  Optimize optimize = Optimize::no;
  Profiling profiling = Profiling::off;
  FormOptions forms = {};
  /// Where the model runs, and where its rows must be.
  Device device = {};
  /// Parameters and buffers that take the place of the file's own before anything else is made of
  /// them; as `load_weights` says. A frozen file has none to replace.
  std::optional<std::vector<NamedTensor>> weights = {};
  WeightOptions weight_options = {};
  SampleRows samples = {};
  std::vector<std::int64_t> sample_sizes = {};
  std::uint64_t seed = 1;
  Tolerance tolerance = {};
  std::vector<std::size_t> warm_batches = {1};
  ThreadOptions threads = {};
};

/// What a LibTorch servable counts: `servable.control(path, statistics)` fills it in.
struct TorchStatistics {
  /// Calls on threads that `prepare_thread` was not called on: allowed, but an operation there may
  /// take as many threads as LibTorch's default says.
  std::uint64_t unprepared_calls = 0;
};

}  // namespace galley::inline v1
