// torch_package: an AOTInductor package as a servable.
#pragma once

#include <galley/core/device.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/signature.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tolerance.hpp>
#include <galley/torch/options.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/threads.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// How many rows one call of a compiled package takes: any number from `min` to `max`. Equal, they
/// are the one size that a package without a dynamic batch has.
struct PackageBatch {
  std::size_t min = 0;
  std::size_t max = 0;

  friend bool operator==(const PackageBatch&, const PackageBatch&) = default;
};

/// Whether a package's weights may be replaced while it is served.
enum class WeightReplacement : std::uint8_t {
  none,
  /// With `ReplaceWeights`: calls that run are waited for, others wait meanwhile, and the weights
  /// of before are gone. A call then costs a lock more. Rows of one shape in one batch are answered
  /// by one set of weights; a request that comes to the package in several batches or shapes may
  /// see both, and so may a cache around it. A `slot` keeps a request on one.
  in_place,
};

/// What may be said of an AOTInductor package. The members that `FunctionOptions` has mean the
/// same.
///
/// A package made by examples/export_model.py says its signature and batch sizes itself; what is
/// said here must agree with it. Of any other package they must be said here, and are *trusted*:
/// compiled code does not look at the shapes it is given.
struct PackageOptions {
  /// The servable's name; the file's, without its extension, when empty.
  std::string name = {};
  /// Which of the package's models.
  std::string model = "model";
  std::vector<TensorSpec> inputs = {};
  std::vector<TensorSpec> outputs = {};
  /// As the package says, when zeros.
  PackageBatch batch = {};
  /// How many calls run at the same time on the one copy of the weights; more wait for each other.
  /// 0: one for each hardware thread, which is as many as an executor has workers by default.
  std::size_t runners = 0;
  /// Where the model runs, and where its rows must be.
  Device device = {};
  /// LibTorch's compiler makes constants of up to 8 elements part of the code, and others where
  /// it is told to freeze: what has weights there is refused, as replacing them would leave those
  /// as they were. The package has to say which weights it has, as examples/export_model.py has it.
  WeightReplacement replacement = WeightReplacement::none;
  /// The folder in which a package that is a file is unpacked; the system's temporary one when
  /// empty. On a CPU what was unpacked is removed once it is loaded, on other devices with the
  /// servable.
  std::string unpack_in = {};
  /// Other packages of the same model, such as for fixed batch sizes, that are tried beside this
  /// one; of its members, neither `tried` nor `reduced`.
  FormOptions forms = {.tried = {}};
  SampleRows samples = {};
  std::vector<std::int64_t> sample_sizes = {};
  std::uint64_t seed = 1;
  Tolerance tolerance = {};
  std::vector<std::size_t> warm_batches = {1};
  ThreadOptions threads = {};
};

/// A servable of the model in an AOTInductor package: a `.pt2` file as
/// `torch._inductor.aoti_compile_and_package` writes it, or the folder it was unpacked to.
///
/// Rows, answers, checks and errors are as for `torch_script`: rows are `NamedTensors` where the
/// model takes (gives) several tensors, in the order they were exported in, and outputs that have
/// no names are "0", "1", …. Batches of fewer rows than the package takes are filled up with their
/// last row, which is a row it can compute as zeros need not be, and cut back; of more, run in
/// several calls. Inputs are handed over contiguous, as they are where the exported examples were.
///
/// New weights are a new package: `publish` its servable to a `slot`, which keeps every request on
/// one version. `options.replacement` is the other way, for weights that must not be there twice.
///
/// The package is code: load only what you trust.
///
/// Shapes   row [*F]  ->  batch [n, *F]  ->  outputs [n, *G]
/// Errors   not_found: no such file; data_loss: unreadable, damaged, or no package; unimplemented:
///          made for another device, machine, instruction set or LibTorch, has no shared object,
///          or this LibTorch has no loader of packages (2.8 and later have);
///          failed_precondition: as `torch_script`, no such model in it, its batch sizes are not
///          known, its weights are to be replaceable and are not, or it cannot be loaded;
///          invalid_argument: weights to be replaced, and other forms that would keep theirs
/// Threads  thread-safe; `options.runners` calls run at the same time on one copy of the weights.
///          Packages are loaded one at a time in the process
/// Cost     loading unpacks the file, and runs about ten small batches; a call allocates nothing
///          of ours for one row, or for a block of a size that the package takes
/// Example  tests/torch/package_test.cpp
template <TensorRow In = Tensor, TensorRow Out = Tensor>
Result<Servable<In, Out>> torch_package(const std::string& path, PackageOptions options = {});

// ---- implementation ----------------------------------------------------------------------------

extern template Result<Servable<Tensor, Tensor>> torch_package(const std::string&, PackageOptions);
extern template Result<Servable<Tensor, NamedTensors>> torch_package(const std::string&,
                                                                     PackageOptions);
extern template Result<Servable<NamedTensors, Tensor>> torch_package(const std::string&,
                                                                     PackageOptions);
extern template Result<Servable<NamedTensors, NamedTensors>> torch_package(const std::string&,
                                                                           PackageOptions);

}  // namespace galley::inline v1
