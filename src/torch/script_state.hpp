// The state within a module: which of its attributes change, and a copy of them for each sequence.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

using ScriptObject = c10::intrusive_ptr<c10::ivalue::Object>;

/// A value that a module holds, or an object within it.
struct ScriptAttribute {
  std::string path;  ///< As "lstm.hidden".
  ScriptObject owner;
  std::size_t slot = 0;

  const c10::IValue& value() const { return owner->getSlot(slot); }
};

/// All values that a module holds, also in objects within it: each once. Objects are none
/// themselves.
std::vector<ScriptAttribute> attributes_of(const torch::jit::Module& module);

/// A copy that shares nothing with `module`, and whose tensors lie in one memory where those of
/// `module` do, which `deepcopy` forgets. Throws.
torch::jit::Module copy_of(const torch::jit::Module& module);

bool has_attribute(const torch::jit::Module& module, const std::string& path);

/// An attribute that a graph assigns to.
struct Assignment {
  std::string path;
  bool is_own = true;  ///< False where it is not known to be the module's; `path` is its name then.
};

/// The attributes that an inlined graph assigns to.
std::vector<Assignment> assignments_in(const torch::jit::Graph& graph);

/// True when one of `paths` is this attribute, or an object that it is in.
bool is_among(std::string_view path, std::span<const std::string> paths);

/// A number that changes when numbers, texts or strided tensors in the value do, also in tuples,
/// lists and dicts. Objects in those, and sparse and quantised tensors, count as nothing.
std::uint64_t mix_value(std::uint64_t fingerprint, const c10::IValue& value);

/// What a module's copies share, and which attributes each has for itself.
///
/// Threads  thread-safe; a state is its holder's alone
class ScriptState {
 public:
  /// One sequence's module: what changes in it, and the objects that this is in.
  class State {
   public:
    State() = default;
    /// The module, to be given to its methods.
    c10::IValue self() const { return objects_.back(); }

   private:
    friend class ScriptState;
    std::vector<ScriptObject> objects_;  // the module last
  };
  /// The values of a state, set aside.
  using Values = std::vector<c10::IValue>;

  ScriptState() = default;

  /// `paths` of `shared` are each state's own, and begin as they are in `initial`, a module that
  /// has them too. Throws what LibTorch throws.
  ///
  /// Errors  failed_precondition: no such attribute
  static Result<ScriptState> of(const torch::jit::Module& shared,
                                std::span<const std::string> paths,
                                const torch::jit::Module& initial);

  /// The state before the first row. Throws.
  State fresh() const;

  /// Copies of a state's values. Throws.
  Values save(const State& state) const;
  /// Puts them back.
  void restore(State& state, Values&& values) const noexcept;

  /// Lets go of memory that tensors of `state` are a small part of. Throws.
  void trim(State& state) const;

  const std::vector<std::string>& paths() const noexcept { return paths_; }
  /// What each of them is at first.
  const Values& initial() const noexcept { return initial_; }
  /// Of the tensors, at first.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Place {
    std::size_t object = 0;
    std::size_t slot = 0;
  };
  struct Link {
    Place place;
    std::size_t object = 0;  // that is there
  };
  class Finder;

  std::vector<std::string> paths_;
  std::vector<ScriptObject> objects_;  // shared: those that a state has copies of
  std::vector<Link> links_;
  std::vector<Place> places_;  // of each path
  Values initial_;
  std::size_t bytes_ = 0;
};

}  // namespace galley::inline v1::detail
