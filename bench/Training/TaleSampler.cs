using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>Samples text from a model in training: temperature, then nucleus (Holtzman et al. 2019, arXiv:1904.09751).</summary>
internal sealed class TaleSampler(TorchLlama model, BytePairVocabulary vocabulary, int seed)
{
    private const double Temperature = 0.8, Nucleus = 0.95;

    private readonly Random _random = new(seed);

    /// <summary>The prompt and its continuation by at most <paramref name="count"/> tokens or to the end of the text.</summary>
    public string Continue(string prompt, int count)
    {
        using IDisposable noGradient = no_grad();
        List<int> tokens = [vocabulary.BeginOfTextToken];
        vocabulary.Encode(prompt, tokens);
        for (int i = 0; i < count && tokens.Count < model.Shape.MaxPositions; i++)
        {
            int next = Sample(NextLogits(tokens));
            if (next == vocabulary.EndOfTextToken)
            {
                break;
            }
            tokens.Add(next);
        }
        return vocabulary.Decode(tokens);
    }

    // No cache: the whole text is computed again for every token, which a training's few samples can afford.
    private float[] NextLogits(List<int> tokens)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor logits = model.Forward(tensor(tokens.Select(token => (long)token).ToArray()).unsqueeze(0));
        return logits[0, -1].data<float>().ToArray();
    }

    private int Sample(float[] logits)
    {
        double peak = logits.Max();
        double[] weights = [.. logits.Select(logit => Math.Exp((logit - peak) / Temperature))];
        int[] likeliest = [.. Enumerable.Range(0, weights.Length).OrderByDescending(token => weights[token])];
        double kept = 0, limit = Nucleus * weights.Sum();
        int count = 0;
        while (count < likeliest.Length && kept < limit)
        {
            kept += weights[likeliest[count++]];
        }
        double draw = _random.NextDouble() * kept;
        foreach (int token in likeliest.AsSpan(0, count))
        {
            draw -= weights[token];
            if (draw < 0)
            {
                return token;
            }
        }
        return likeliest[count - 1];
    }
}
