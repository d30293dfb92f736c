// Files compiled with and without exceptions in one program.
#include <galley/testing/manual_executor.hpp>

#include <core/mixed_exceptions/shared.hpp>

#include <cstdio>
#include <utility>

namespace {

int failures = 0;

/// Rows of several requests in one batch: 13 fails alone where the model throws, wherever the
/// batcher was made.
void check_meeting(const char* what, const galley::ManualExecutor& executor,
                   const galley::Servable<int, int>& graph, bool throws) {
  int answers = 0, wrong = 0;
  for (const int n : {1, 13, 5}) {
    graph.submit(n, {}, [&, n](galley::Result<int> result) {
      ++answers;
      const bool fails = throws && n == 13;
      if (fails ? result.status() != galley::Status::internal : result.value_or(-1) != n + 1) {
        ++wrong;
      }
    });
  }
  executor.run_ready();
  if (answers == 3 && wrong == 0) return;
  ++failures;
  std::fprintf(stderr, "%s: %d answers, %d of them wrong\n", what, answers, wrong);
}

}  // namespace

int main() {
  const galley::ManualExecutor executor;
  for (const bool throws : {false, true}) {
    const auto model = throws ? model_with_exceptions() : model_without_exceptions();
    const auto with = batched_with_exceptions(executor, model);
    const auto without = batched_without_exceptions(executor, model);
    check_meeting("batched with exceptions", executor, with, throws);
    check_meeting("batched without exceptions", executor, without, throws);
    check_meeting("batched without in with exceptions", executor,
                  batched_with_exceptions(executor, without), throws);
    check_meeting("batched with in without exceptions", executor,
                  batched_without_exceptions(executor, with), throws);
  }
  return failures + failures_without_exceptions() + failures_with_exceptions() == 0 ? 0 : 1;
}
