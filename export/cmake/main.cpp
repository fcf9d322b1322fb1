// ${name}: runs the stored samples and says PASS or FAIL, also by its exit status.

#include <stdio.h>
#include <time.h>

#include "${namespace}.h"
#include "${namespace}_samples.h"

namespace {

// Prints the class of the last run, or its value if the model has a single output.
void printAnswer() {
  if (${namespace}::kOutputSize == 1) {
    printf("%g", static_cast<double>(${namespace}::score(0)));
  } else {
    printf("%s", ${namespace}::kLabels[${namespace}::best()]);
  }
}

// Runs a stored sample and prints what came out. Returns whether it was as stored.
bool checkSample(size_t sample) {
  const char* error = ${namespace}::runSample(sample);
  printf("sample %u: ", static_cast<unsigned int>(sample));
  if (error != nullptr) {
    printf("%s\n", error);
    return false;
  }
  printAnswer();
  const size_t differences = ${namespace}::countDifferences(sample);
  if (differences > 0) {
    printf(", %u output values differ", static_cast<unsigned int>(differences));
  }
  printf("\n");
  return differences == 0;
}

// Prints the mean time of one inference, of many in a second: clocks of small systems are too coarse
// for a single one.
void printTime() {
  constexpr unsigned int kMostRuns = 100;
  const clock_t start = clock();
  clock_t passed = 0;
  unsigned int runs = 0;
  while (runs < kMostRuns && passed < CLOCKS_PER_SEC) {
    ${namespace}::runSample(runs % ${namespace}::kSampleCount);
    ++runs;
    passed = clock() - start;
  }
  const double seconds = static_cast<double>(passed) / CLOCKS_PER_SEC;
  printf("time per inference: %.1f us\n", 1e6 * seconds / runs);
}

}  // namespace

int main() {
  const char* error = ${namespace}::begin();
  if (error != nullptr) {
    printf("FAIL: %s\n", error);
    return 1;
  }
  printf("arena: %u of %u bytes\n", static_cast<unsigned int>(${namespace}::arenaUsed()),
         static_cast<unsigned int>(${namespace}::kArenaSize));
  unsigned int failures = 0;
  for (size_t sample = 0; sample < ${namespace}::kSampleCount; ++sample) {
    failures += checkSample(sample) ? 0 : 1;
  }
  printTime();
  if (failures > 0) {
    printf("FAIL: %u samples differ\n", failures);
    return 1;
  }
  printf("PASS\n");
  return 0;
}
