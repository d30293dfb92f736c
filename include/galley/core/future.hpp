// A future for an answer: the adaptor for hosts that think in futures.
#pragma once

#include <galley/core/servable.hpp>

#include <future>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// Submits one row and gives a future of its outcome. The future never throws: errors are in the
/// result.
///
/// Cost  a promise and its shared state, some 400 ns; `submit` with a completion has neither
template <class In, class Out>
std::future<Result<Out>> submit_future(const Servable<In, Out>& servable,
                                       std::type_identity_t<In> row, const Context& context = {},
                                       CallOptions options = {}) {
  std::promise<Result<Out>> promise;
  std::future<Result<Out>> future = promise.get_future();
  servable.submit(
      std::move(row), context,
      Completion<Out>([promise = std::move(promise)](
                          Result<Out> result) mutable { promise.set_value(std::move(result)); },
                      detail::NoExceptions()),
      options);
  return future;
}

/// Submits a batch and gives a future of its outcomes.
template <class In, class Out>
std::future<Outcomes<Out>> submit_rows_future(const Servable<In, Out>& servable,
                                              std::type_identity_t<Rows<In>> rows,
                                              const Context& context = {},
                                              CallOptions options = {}) {
  std::promise<Outcomes<Out>> promise;
  std::future<Outcomes<Out>> future = promise.get_future();
  const std::size_t n = rows.size();
  servable.submit_rows(std::move(rows), context,
                       BatchCompletion<Out>(
                           n,
                           [promise = std::move(promise)](Outcomes<Out> o) mutable {
                             promise.set_value(std::move(o));
                           },
                           detail::NoExceptions()),
                       options);
  return future;
}

}  // namespace galley::inline v1
