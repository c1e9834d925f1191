using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>The mean loss over text that training never sees.</summary>
/// <param name="PerToken">Nats a token; depends on the vocabulary.</param>
/// <param name="BitsPerByte">Bits a byte of UTF-8; comparable between vocabularies.</param>
internal readonly record struct HeldOutLoss(double PerToken, double BitsPerByte)
{
    /// <summary>Evaluates in windows of full context; the first tokens of a window have little to go by.</summary>
    public static HeldOutLoss Measure(TorchLlama model, IReadOnlyList<string> texts, BytePairVocabulary vocabulary, int windows)
    {
        using IDisposable noGradient = no_grad();
        var stream = new TokenStream(texts, vocabulary, model.Shape.MaxPositions);
        double sum = 0, tokens = 0;
        for (int index = 0; index < stream.Windows; index += windows)
        {
            using DisposeScope scope = NewDisposeScope();
            (Tensor inputs, Tensor targets) = stream.InOrder(index, Math.Min(windows, stream.Windows - index));
            sum += model.Loss(inputs, targets).item<float>() * targets.numel();
            tokens += targets.numel();
        }
        double bytesPerToken = texts.Sum(text => (double)Encoding.UTF8.GetByteCount(text)) / stream.Length;
        return new HeldOutLoss(sum / tokens, sum / tokens / Math.Log(2) / bytesPerToken);
    }
}
