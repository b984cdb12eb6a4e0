import { render } from 'preact';
import './styles/index.css';
import { applyTheme } from './ui/theme';
import { Root } from './ui/root';

applyTheme();
const place = document.getElementById('app');
if (place) render(<Root />, place);
