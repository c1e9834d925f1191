using LlamaServe.Models.Configuration;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Models;

/// <summary>A checkpoint, ready to generate: the model with its weights, its tokenizer and its defaults.</summary>
/// <param name="name">The snapshot folder's or the file's name, without extension.</param>
/// <param name="model">Owned from here on.</param>
public sealed class LoadedModel(string name, CausalLm model, Tokenizer tokenizer, GenerationDefaults defaults) : IDisposable
{
    public string Name { get; } = name;

    public CausalLm Model { get; } = model;

    public Tokenizer Tokenizer { get; } = tokenizer;

    public GenerationDefaults Defaults { get; } = defaults;

    /// <summary>Ids of added tokens beyond the rows of the embedding: none can be produced, and no request may have them.</summary>
    public int IdsWithoutRow => Math.Max(0, Tokenizer.VocabularySize - Model.Config.VocabularySize);

    /// <summary>Bytes that the backend holds for the weights.</summary>
    public long WeightBytes => Model.WeightBytes;

    public void Dispose() => Model.Dispose();
}
