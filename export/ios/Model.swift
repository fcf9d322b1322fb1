import Foundation
import TensorFlowLiteC

/// ${summary} Made by keras_distill.
///
/// Use it from one thread at a time.
final class ${class_name} {

    enum Failure: Error {
        case missingFile(String)
        case runtime(String)
        case wrongSize(expected: Int, given: Int)
    }

    static let inputSize = ${input_size}
    static let outputSize = ${output_size}

    /// Names of the classes, one per score.
    static let labels: [String] = [
${labels}
    ]

    private static let asset = "${asset}"
    private static let sampleCount = ${sample_count}

    // The kernels of another processor may round differently by this much.
    private static let tolerance: Float = ${tolerance}

    private let bundle: Bundle
    private let interpreter: OpaquePointer

    init(bundle: Bundle = .main, threads: Int = 4) throws {
        self.bundle = bundle
        let url = try Self.url(of: "tflite", named: Self.asset, in: bundle)
        guard let model = TfLiteModelCreateFromFile(url.path) else {
            throw Failure.runtime("The model can't be read.")
        }
        defer { TfLiteModelDelete(model) }
        let options = TfLiteInterpreterOptionsCreate()
        defer { TfLiteInterpreterOptionsDelete(options) }
        TfLiteInterpreterOptionsSetNumThreads(options, Int32(threads))
        guard let created = TfLiteInterpreterCreate(model, options) else {
            throw Failure.runtime("The interpreter can't be made.")
        }
        interpreter = created
        guard TfLiteInterpreterAllocateTensors(created) == kTfLiteOk else {
            throw Failure.runtime("The tensors can't be allocated.")
        }
    }

    deinit {
        TfLiteInterpreterDelete(interpreter)
    }

    /// Returns the scores of one sample, as the Keras model would give them; `labels` names them.
    ///
    /// The values are those of shape ${input_shape}, the last axis first to change, scaled as in
    /// training.
    func predict(_ values: [Float]) throws -> [Float] {
        guard values.count == Self.inputSize else {
            throw Failure.wrongSize(expected: Self.inputSize, given: values.count)
        }
        return try run(values.map(Self.quantize)).map(Self.score)
    }

    /// Returns the label of the highest score.
    func classify(_ values: [Float]) throws -> String {
        let scores = try predict(values)
        var best = 0
        for index in scores.indices where scores[index] > scores[best] {
            best = index
        }
        return Self.labels[best]
    }

    /// Runs ${sample_count} stored samples. Returns how many of them differ from what LiteRT's
    /// fast kernels answered on a computer: 0 if the model works here.
    func selfCheck() throws -> Int {
        let samples: [${input_type}] = try stored("_samples", count: Self.inputSize)
        let answers: [${output_type}] = try stored("_answers", count: Self.outputSize)
        var failures = 0
        for sample in 0..<Self.sampleCount {
            let first = sample * Self.inputSize
            let numbers = try run(Array(samples[first..<(first + Self.inputSize)]))
            let expected = answers[(sample * Self.outputSize)...]
            // NaN doesn't agree.
            let agrees = zip(numbers, expected).allSatisfy { pair in
                abs(Float(pair.0) - Float(pair.1)) <= Self.tolerance
            }
            failures += agrees ? 0 : 1
        }
        return failures
    }

    private func run(_ input: [${input_type}]) throws -> [${output_type}] {
        let tensor = TfLiteInterpreterGetInputTensor(interpreter, 0)
        let size = input.count * MemoryLayout<${input_type}>.stride
        let copied = input.withUnsafeBytes { bytes in
            TfLiteTensorCopyFromBuffer(tensor, bytes.baseAddress, size)
        }
        guard copied == kTfLiteOk, TfLiteInterpreterInvoke(interpreter) == kTfLiteOk else {
            throw Failure.runtime("The model can't be run.")
        }
        var output = [${output_type}](repeating: 0, count: Self.outputSize)
        let outputBytes = output.count * MemoryLayout<${output_type}>.stride
        let fetched = output.withUnsafeMutableBytes { bytes in
            TfLiteTensorCopyToBuffer(
                TfLiteInterpreterGetOutputTensor(interpreter, 0), bytes.baseAddress, outputBytes)
        }
        guard fetched == kTfLiteOk else {
            throw Failure.runtime("The output can't be read.")
        }
        return output
    }

    private static func quantize(_ value: Float) -> ${input_type} {
        ${quantize}
    }

    private static func score(_ number: ${output_type}) -> Float {
        return ${score}
    }

    private func stored<Number: ExpressibleByIntegerLiteral>(_ ending: String, count: Int) throws
        -> [Number]
    {
        let data = try Data(
            contentsOf: Self.url(of: "bin", named: Self.asset + ending, in: bundle))
        var numbers = [Number](repeating: 0, count: Self.sampleCount * count)
        let copied = numbers.withUnsafeMutableBytes { bytes in data.copyBytes(to: bytes) }
        guard copied == numbers.count * MemoryLayout<Number>.stride else {
            throw Failure.missingFile(Self.asset + ending + ".bin")
        }
        return numbers
    }

    private static func url(of type: String, named name: String, in bundle: Bundle) throws -> URL {
        guard let url = bundle.url(forResource: name, withExtension: type) else {
            throw Failure.missingFile(name + "." + type)
        }
        return url
    }
}
