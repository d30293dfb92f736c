// AnyBatchPolicy: a batch policy that is chosen while the program runs.
#pragma once

#include <galley/core/type_name.hpp>
#include <galley/policy/batch.hpp>
#include <galley/policy/batch/learned_cap.hpp>

#include <concepts>
#include <memory>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

/// One of several batch policies, as read from a configuration; by default `LearnedCap`.
///
/// Copies share the policy, which is never changed.
///
/// Cost    a call through a pointer more than the policy itself
/// Example tests/policy/batch/any_test.cpp
class AnyBatchPolicy {
 public:
  AnyBatchPolicy() : AnyBatchPolicy(LearnedCap()) {}
  template <class P>
    requires(!std::same_as<P, AnyBatchPolicy> && BatchPolicy<P>)
  AnyBatchPolicy(P policy)  // NOLINT: stands for the policy
      : policy_(std::make_shared<const P>(std::move(policy))), table_(&table_of<P>) {}

  BatchDecision decide(const BatchView& view) const { return table_->decide(policy_.get(), view); }
  Duration max_wait() const { return table_->max_wait(policy_.get()); }

  /// The name of the policy's type.
  std::string_view name() const noexcept { return table_->name; }
  /// The policy, when it is a P; else null.
  template <BatchPolicy P>
  const P* as() const noexcept {
    return table_->type == type_id<P>() ? static_cast<const P*>(policy_.get()) : nullptr;
  }

 private:
  struct Table {
    const void* type;
    std::string_view name;
    BatchDecision (*decide)(const void*, const BatchView&);
    Duration (*max_wait)(const void*);
  };
  template <class P>
  static constexpr Table table_of{
      .type = type_id<P>(),
      .name = type_name<P>(),
      .decide = [](const void* p,
                   const BatchView& v) { return static_cast<const P*>(p)->decide(v); },
      .max_wait = [](const void* p) { return static_cast<const P*>(p)->max_wait(); }};

  std::shared_ptr<const void> policy_;
  const Table* table_;
};

}  // namespace galley::inline v1
