namespace LlamaServe.Models.Tokenization;

/// <summary>The ids that a tokenizer's files give a role; null where they give none.</summary>
/// <param name="Bos">Begins a text.</param>
/// <param name="Eos">Ends a text.</param>
/// <param name="Unknown">Stands for what has no token.</param>
/// <param name="Pad">Fills up batches.</param>
/// <param name="EndOfTurn">Ends a turn of a chat, where that is another token than <paramref name="Eos"/>.</param>
public sealed record SpecialTokens(int? Bos = null, int? Eos = null, int? Unknown = null, int? Pad = null, int? EndOfTurn = null);
