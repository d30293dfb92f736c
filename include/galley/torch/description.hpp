// ModelDescription: what is known of a LibTorch model, as data and as a page of text.
#pragma once

#include <galley/core/device.hpp>
#include <galley/core/result.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/options.hpp>
#include <galley/torch/package.hpp>
#include <galley/torch/weights.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// What a model was made of.
enum class ModelFormat : std::uint8_t { torch_script, aot_inductor, function, module };

/// "TorchScript", "AOTInductor", "C++ function", "C++ module".
inline const char* to_string(ModelFormat format) noexcept {
  constexpr const char* names[] = {"TorchScript", "AOTInductor", "C++ function", "C++ module"};
  return names[static_cast<std::size_t>(format)];
}

/// A method as its file declares it; types are written as in Python: "Optional[int]".
struct ModelMethod {
  struct Argument {
    std::string name = {};
    std::string type = {};
    std::optional<std::string> otherwise = {};  ///< Its value where none is given, as in Python.
    friend bool operator==(const Argument&, const Argument&) = default;
  };
  std::string name = {};
  std::vector<Argument> arguments = {};
  std::string returns = {};
  friend bool operator==(const ModelMethod&, const ModelMethod&) = default;
};

/// "forward(x: Tensor, rate: int = 16000) -> Tensor".
std::string to_string(const ModelMethod& method);

/// How much of some kind of tensors a model holds. What shares its memory is counted once.
struct TensorCount {
  std::size_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> dtypes =
      {};  ///< Each once: "float32"; LibTorch's word where we have none.
  friend bool operator==(const TensorCount&, const TensorCount&) = default;
};

/// An attribute that a model keeps from one call to the next.
struct StateAttribute {
  std::string name = {};
  std::string type = {};  ///< The dtype of a tensor, else what it is: "float32", "int".
  Shape shape = {};
  std::uint64_t bytes = 0;
  friend bool operator==(const StateAttribute&, const StateAttribute&) = default;
};

/// What only TorchScript models have.
struct ScriptDescription {
  std::vector<ModelMethod> methods = {};
  std::string method = {};  ///< The one that is served; empty where none is.
  std::vector<BoundArgument> arguments = {};
  RowsAs rows = RowsAs::batch;
  Freeze freeze = Freeze::yes;
  Optimize optimize = Optimize::no;
  Profiling profiling = Profiling::off;
  bool is_training = false;  ///< It was saved in training mode; it is served in eval mode.
  /// Why a module with a state runs as it was saved, though another form was asked for; else empty.
  std::string refused = {};
  /// The method that brings a state back to its beginning; empty where that is what was saved.
  std::string reset = {};
};

/// What only packages have: what one says that it was made for, and how it is run.
struct PackageDescription {
  std::string device = {};        ///< "cpu", "cuda".
  std::string platform = {};      ///< "linux".
  std::string machine = {};       ///< "x86_64".
  std::string instructions = {};  ///< "AVX512 AVX512_VNNI".
  std::string libtorch = {};      ///< "2.13.0+cpu"; empty where it does not say.
  PackageBatch batch = {};
  std::size_t runners = 0;
};

/// The form that runs batches of `rows` rows and of more, up to where the next begins.
struct FormRange {
  std::size_t rows = 0;
  std::string form = {};
  friend bool operator==(const FormRange&, const FormRange&) = default;
};

/// Why the forms that run are those: nothing was tried yet, costs were measured or given, or the
/// options name one.
enum class FormChoice : std::uint8_t { unprepared, measured, pinned };

/// "unprepared", "measured", "pinned".
inline const char* to_string(FormChoice choice) noexcept {
  constexpr const char* names[] = {"unprepared", "measured", "pinned"};
  return names[static_cast<std::size_t>(choice)];
}

/// What is known of a LibTorch model: `servable.control(path, description)` fills it in, for
/// `torch_script`, `torch_package`, `torch_function` and `torch_module`. It is of that moment:
/// `prepare` tries forms.
///
/// What a servable's `describe()` says of such a model is made of this.
struct ModelDescription {
  std::string name = {};  ///< The servable's.
  ModelFormat format = ModelFormat::torch_script;
  Device device = {};
  std::string libtorch = {};  ///< The LibTorch it runs with, "2.13.0".
  Signature signature = {};
  std::optional<ScriptDescription> script = {};
  std::optional<PackageDescription> package = {};
  TensorCount parameters = {};
  TensorCount buffers = {};
  /// Tensors in the code: the weights of what was frozen before it was saved, and of packages,
  /// which do not say which were buffers.
  TensorCount constants = {};
  std::vector<StateAttribute> state = {};  ///< Empty where rows leave nothing behind.
  std::uint64_t state_bytes = 0;           ///< Of all of it, what is shared once.
  /// How the weights that took the place of the file's fitted.
  std::optional<WeightReport> weights = {};
  /// The form that the options say first, then those that are tried beside it; empty for C++.
  std::vector<FormProfile::Form> forms = {};
  std::vector<FormRange> runs = {};  ///< By ascending rows, from 1 on.
  FormChoice choice = FormChoice::unprepared;
  std::vector<std::size_t> warm_batches = {};
};

/// A page for people. Times are in microseconds.
std::string to_string(const ModelDescription& description);

/// What is known of a TorchScript file that nothing serves: its methods, parameters, buffers and
/// constants; the rest is empty.
///
/// Errors  not_found: no such file; data_loss: unreadable, or no TorchScript model
/// Cost    reads the file, whose weights are in memory meanwhile
Result<ModelDescription> describe_script(const std::string& path);

}  // namespace galley::inline v1
